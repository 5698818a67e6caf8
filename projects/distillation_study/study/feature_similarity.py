"""How alike the features of two networks are, in the same basis and in any."""

import math
from dataclasses import dataclass
from typing import List, Sequence

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fdsr.models.forward import run_backbone
from fdsr.models.taps import FeatureTaps
from fdsr.registry import DATASETS, FUNCTIONS, MODELS


@dataclass
class FeatureSimilarity:
    """What two networks' features have in common.

    Attributes:
        correlation: of the channels of the same number, their mean: in the same basis
            it is high. NaN where the numbers of channels differ.
        explained: share of the reference's variance that the best 1×1 convolution of
            the features explains on faces that it was not fitted to: what is the same
            but for the basis.
        cka: linear centred kernel alignment (Kornblith et al. 2019), which does not
            change when either basis is rotated.
    """

    correlation: float
    explained: float
    cka: float


def feature_similarity(features: Tensor, reference: Tensor) -> FeatureSimilarity:
    """Compares features at the same places of the same faces.

    Args:
        features: (N, P, C), of P places of N faces.
        reference: (N, P, D).

    Raises:
        ValueError: fewer than two faces, or other places.
    """
    if len(features) < 2 or features.shape[:2] != reference.shape[:2]:
        raise ValueError(
            'Features of the same places of at least two faces can be compared, found '
            f'{tuple(features.shape)} and {tuple(reference.shape)}.')
    features, reference = features.double(), reference.double()
    flat = features.flatten(0, 1), reference.flatten(0, 1)
    return FeatureSimilarity(
        _correlation(*flat), _explained(features, reference), _cka(*flat))


def _correlation(features: Tensor, reference: Tensor) -> float:
    """(R, C) and (R, D); channels that are constant correlate with nothing."""
    if features.shape[1] != reference.shape[1]:
        return math.nan
    first, second = _centred(features), _centred(reference)
    scale = first.norm(dim=0) * second.norm(dim=0)
    products = (first * second).sum(dim=0)
    return float((products / scale.clamp_min(1e-12)).mean())


def _explained(features: Tensor, reference: Tensor) -> float:
    """Fits to every other face of (N, P, C) and (N, P, D), and looks at the others."""
    ones = torch.ones_like(features[..., :1])
    inputs = torch.cat([features, ones], dim=-1)
    known, other = inputs[::2].flatten(0, 1), inputs[1::2].flatten(0, 1)
    wanted = reference[1::2].flatten(0, 1)
    weight = torch.linalg.lstsq(
        known, reference[::2].flatten(0, 1), driver='gelsd').solution
    left = (wanted - other @ weight).square().sum()
    return float(1 - left / _centred(wanted).square().sum())


def _cka(features: Tensor, reference: Tensor) -> float:
    first, second = _centred(features), _centred(reference)
    scale = (first.T @ first).norm() * (second.T @ second).norm()
    return float((first.T @ second).square().sum() / scale)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=0)


@torch.inference_mode()
def sample_features(networks: Sequence[nn.Module], taps: Sequence[str], loader: dict,
                    faces: int = 64, places: int = 256) -> List[Tensor]:
    """Features of some faces of a data set, at places drawn once for all networks.

    Args:
        networks: in eval mode.
        taps: where each is tapped, e.g. ``decoder.to_rgb:input``.
        loader: config of a data loader, e.g. a config's ``val_dataloader``.
        faces: how many, from the list's beginning.
        places: on each.

    Returns:
        (N, P, C) of each network.

    Raises:
        ValueError: the networks' maps are not of the same size.
    """
    dataset = DATASETS.build(loader['dataset'])
    preprocess = MODELS.build(dict(type='fdsr.FacePreprocessor'))
    batches = DataLoader(
        torch.utils.data.Subset(dataset, range(min(faces, len(dataset)))), batch_size=8,
        collate_fn=FUNCTIONS.get('fdsr.collate_samples'))
    chance = torch.Generator().manual_seed(0)
    found: List[List[Tensor]] = [[] for _ in networks]
    for batch in batches:
        if not len(batch['inputs']):  # none of them can be read
            continue
        batch = preprocess(batch)
        maps = [_tapped(network, tap, batch) for network, tap in zip(networks, taps)]
        sizes = {values.shape[2:] for values in maps}
        if len(sizes) > 1:
            found_sizes = ', '.join(f'{height} × {width}'
                                    for height, width in sorted(sizes))
            raise ValueError('Feature maps of one size can be compared, found '
                             f'{found_sizes}: tap other layers.')
        height, width = sizes.pop()
        chosen = torch.randint(height * width, (places, ), generator=chance)
        for values, kept in zip(maps, found):
            kept.append(values.flatten(2)[..., chosen].transpose(1, 2))
    return [torch.cat(kept) for kept in found]


def _tapped(network: nn.Module, tap: str, batch: dict) -> Tensor:
    with FeatureTaps(network, [tap]) as features:
        run_backbone(network, batch['inputs'], batch['data_samples'])
    return features[tap]


def compare_checkpoints(config: Config, reference: str, checkpoints: Sequence[str],
                        taps: Sequence[str], faces: int = 64
                        ) -> List[FeatureSimilarity]:
    """How alike each checkpoint's features are to a reference's.

    Args:
        config: whose ``val_dataloader`` gives the faces.
        reference: a self-describing checkpoint, such as a teacher's.
        checkpoints: others.
        taps: of the reference, and of the others.
        faces: how many.

    Raises:
        ValueError: a tap that a network has not.
    """
    from fdsr.apis import load_backbone
    networks = [load_backbone(path) for path in (reference, *checkpoints)]
    all_taps = [taps[0], *[taps[1]] * len(checkpoints)]
    found = sample_features(networks, all_taps, config.val_dataloader, faces)
    return [feature_similarity(values, found[0]) for values in found[1:]]
