"""Similarity of two networks' features, in the same basis and in any basis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fdsr.models.forward import run_backbone
from fdsr.models.taps import FeatureTaps
from fdsr.registry import DATASETS, FUNCTIONS, MODELS


@dataclass
class FeatureSimilarity:
    """Similarity of features to a reference.

    Args:
        correlation: mean correlation of channels with the same index; high in the same
            basis. NaN if the numbers of channels differ.
        explained: share of the reference's variance that the best 1×1 convolution of
            the features explains on faces outside the fit; independent of the basis.
        cka: linear centred kernel alignment (Kornblith et al. 2019), which is invariant
            to rotations of either basis.
    """

    correlation: float
    explained: float
    cka: float


def feature_similarity(features: Tensor, reference: Tensor) -> FeatureSimilarity:
    """Compares features at the same positions of the same faces.

    Args:
        features: (N, P, C), at P positions of N faces.
        reference: (N, P, D).

    Raises:
        ValueError: there are fewer than two faces, or the positions differ.
    """
    if len(features) < 2 or features.shape[:2] != reference.shape[:2]:
        raise ValueError(
            'Expected features at the same positions of at least two faces, found '
            f'{tuple(features.shape)} and {tuple(reference.shape)}.')
    features, reference = features.double(), reference.double()
    flat = features.flatten(0, 1), reference.flatten(0, 1)
    return FeatureSimilarity(
        _correlation(*flat), _explained(features, reference), _cka(*flat))


def _correlation(features: Tensor, reference: Tensor) -> float:
    """Correlates (R, C) with (R, D); constant channels count as 0."""
    if features.shape[1] != reference.shape[1]:
        return math.nan
    first, second = _centred(features), _centred(reference)
    scale = first.norm(dim=0) * second.norm(dim=0)
    products = (first * second).sum(dim=0)
    return float((products / scale.clamp_min(1e-12)).mean())


def _explained(features: Tensor, reference: Tensor) -> float:
    """Fits on every other face of (N, P, C) and (N, P, D), evaluates on the rest."""
    ones = torch.ones_like(features[..., :1])
    inputs = torch.cat([features, ones], dim=-1)
    fitted, held_out = inputs[::2].flatten(0, 1), inputs[1::2].flatten(0, 1)
    target = reference[1::2].flatten(0, 1)
    weight = torch.linalg.lstsq(
        fitted, reference[::2].flatten(0, 1), driver='gelsd').solution
    residual = (target - held_out @ weight).square().sum()
    return float(1 - residual / _centred(target).square().sum())


def _cka(features: Tensor, reference: Tensor) -> float:
    first, second = _centred(features), _centred(reference)
    scale = (first.T @ first).norm() * (second.T @ second).norm()
    return float((first.T @ second).square().sum() / scale)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=0)


@torch.inference_mode()
def sample_features(networks: Sequence[nn.Module], taps: Sequence[str], loader: dict,
                    faces: int = 64, places: int = 256) -> list[Tensor]:
    """Samples features at random positions, the same for all networks.

    Args:
        networks: networks in eval mode.
        taps: tap of each network, e.g. ``decoder.to_rgb:input``.
        loader: config of a data loader, e.g. a config's ``val_dataloader``.
        faces: number of faces, from the beginning of the dataset.
        places: positions per face.

    Returns:
        (N, P, C) for each network.

    Raises:
        ValueError: the sizes of the feature maps differ.
    """
    dataset = DATASETS.build(loader['dataset'])
    preprocess = MODELS.build(dict(type='fdsr.FacePreprocessor'))
    batches = DataLoader(
        torch.utils.data.Subset(dataset, range(min(faces, len(dataset)))), batch_size=8,
        collate_fn=FUNCTIONS.get('fdsr.collate_samples'))
    generator = torch.Generator().manual_seed(0)
    found: list[list[Tensor]] = [[] for _ in networks]
    for batch in batches:
        if not len(batch['inputs']):  # all samples were skipped
            continue
        batch = preprocess(batch)
        maps = [_tapped(network, tap, batch) for network, tap in zip(networks, taps)]
        sizes = {values.shape[2:] for values in maps}
        if len(sizes) > 1:
            found_sizes = ', '.join(f'{height} × {width}'
                                    for height, width in sorted(sizes))
            raise ValueError('Expected feature maps of one size, found '
                             f'{found_sizes}: tap other layers.')
        height, width = sizes.pop()
        chosen = torch.randint(height * width, (places, ), generator=generator)
        for values, kept in zip(maps, found):
            kept.append(values.flatten(2)[..., chosen].transpose(1, 2))
    return [torch.cat(kept) for kept in found]


def _tapped(network: nn.Module, tap: str, batch: dict) -> Tensor:
    with FeatureTaps(network, [tap]) as features:
        run_backbone(network, batch['inputs'], batch['data_samples'])
    return features[tap]


def compare_checkpoints(config: Config, reference: str, checkpoints: Sequence[str],
                        taps: Sequence[str], faces: int = 64
                        ) -> list[FeatureSimilarity]:
    """Compares the features of checkpoints with those of a reference.

    Args:
        config: config with a ``val_dataloader``.
        reference: a self-describing checkpoint, such as a teacher's.
        checkpoints: the checkpoints to compare with it.
        taps: the tap of the reference and that of the others.
        faces: number of faces.

    Raises:
        ValueError: a network does not have its tap.
    """
    from fdsr.apis import load_backbone
    networks = [load_backbone(path) for path in (reference, *checkpoints)]
    all_taps = [taps[0], *[taps[1]] * len(checkpoints)]
    found = sample_features(networks, all_taps, config.val_dataloader, faces)
    return [feature_similarity(values, found[0]) for values in found[1:]]
