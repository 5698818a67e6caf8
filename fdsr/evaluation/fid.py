"""The Fréchet distance between the SR and the GT of a whole set."""

import warnings
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.registry import METRICS
from fdsr.weights import ExternalWeights, announce_random, safe_load
from fdsr.weights.files import check_sha256

#: The file of pytorch-fid; its SHA-256 begins with the digits in its name.
FID_FILE = 'pt_inception-2015-12-05-6726825d.pth'
FID_URL = (
    'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/' + FID_FILE)
FID_SHA256 = '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'
_LICENCE = (
    'Apache-2.0 (TensorFlow\'s Inception of 2015-12-05, converted by pytorch-fid); '
    'trained on ImageNet, whose own terms apply')


def frechet_distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray,
) -> float:
    """Returns the squared Fréchet distance of two Gaussians.

    |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), Heusel et al., "GANs Trained by a Two
    Time-Scale Update Rule", 2017, equation 6. The trace of the root is the sum of the
    roots of the eigenvalues of C_a^½ C_b C_a^½, which is symmetric: so it is real, and
    defined where fewer samples than dimensions make the matrices singular.

    Args:
        mean_a: (D,).
        cov_a: (D, D), symmetric and positive semi-definite.
        mean_b: (D,).
        cov_b: (D, D), as `cov_a`.
    """
    values, vectors = np.linalg.eigh(np.asarray(cov_a, np.float64))
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = root @ np.asarray(cov_b, np.float64) @ root
    roots = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(min=0))
    shift = np.asarray(mean_a, np.float64) - mean_b
    distance = shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return float(distance)


def build_inception(
    weights: Optional[Union[str, Path]], sha256: Optional[str] = None,
    random_weights: bool = False,
) -> Tuple[nn.Module, Optional[ExternalWeights]]:
    """Builds mmagic's Inception for FID with a file's weights, downloading nothing.

    Args:
        weights: the file of pytorch-fid.
        sha256: the file's hash; default: that of pytorch-fid's file.
        random_weights: take random values instead, always the same. For tests of the
            code alone; it is announced.

    Returns:
        The frozen module, (B, 3, 299, 299) RGB in [-1, 1] -> (B, 2048); and what to
        record of its file, None for random values.

    Raises:
        ValueError: neither `weights` nor `random_weights`, or both; or another hash.
        FileNotFoundError: no such file.
        RuntimeError: the file is no state dict of this network.
    """
    if (weights is None) is not random_weights:
        raise ValueError(
            f'FID: weights={str(weights)!r} with random_weights={random_weights}, '
            f'expected the path of {FID_FILE}. Download it (91 MiB) from {FID_URL}, '
            'and write dict(type=\'fdsr.FID\', weights=PATH).')
    if weights is None:
        announce_random('Inception of the metric FID')
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _frozen(_inception()), None
    weights = Path(weights).expanduser()
    found = check_sha256(
        weights, sha256 or FID_SHA256,
        f'Download it again from {FID_URL}, or give sha256= for a file of your own.')
    with torch.device('meta'):
        model = _inception()
    model.load_state_dict(safe_load(weights), strict=True, assign=True)
    return _frozen(model), ExternalWeights('fid-inception', str(weights), found,
                                           _LICENCE)


def _inception() -> nn.Module:
    """Builds torchvision's Inception with mmagic's patches for FID."""
    from mmagic.evaluation.functional.fid_inception import fid_inception_v3
    with warnings.catch_warnings():
        # mmagic still says `pretrained` to torchvision.
        warnings.filterwarnings('ignore', module='torchvision')
        return fid_inception_v3(load_ckpt=False)


def _frozen(model: nn.Module) -> nn.Module:
    """Leaves the classifier out, so that the output is what it would be given."""
    model.fc = nn.Identity()
    return model.requires_grad_(False).eval()


@METRICS.register_module()
class FID(BaseMetric):
    """Fréchet Inception distance between the SR and the GT of a set; lower is better.

    It is one number for the whole set: `FaceEvaluator` keeps the features of each
    image and model, and compares them in the end. Features are those of pytorch-fid.

    Args:
        weights: the file of pytorch-fid.
        sha256: the hash of `weights`, when it is another file.
        min_images: with fewer images there is no number.
        random_weights: for tests of the code alone, see `build_inception`.
        collect_device: as for mmengine's metrics.
        prefix: as for mmengine's metrics.

    Raises:
        ValueError, FileNotFoundError, RuntimeError: see `build_inception`.
    """

    metric = 'FID'

    def __init__(
        self, weights: Optional[str] = None, sha256: Optional[str] = None,
        min_images: int = 2000, random_weights: bool = False,
        collect_device: str = 'cpu', prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.min_images = min_images
        self.model, self.weights_file = build_inception(
            weights, sha256, random_weights)

    def protocol(self) -> Dict[str, Any]:
        """Returns what has to stand beside a number of this metric."""
        file = self.weights_file
        return dict(
            metric='FID', network='Inception of 2015-12-05, 2048 features',
            resize='bilinear to 299x299, not anti-aliased', input='RGB in [-1, 1]',
            border=0, reference='GT of the same images', min_images=self.min_images,
            weights_sha256='RANDOM WEIGHTS' if file is None else file.sha256)

    def check_count(self, count: int) -> None:
        """Says whether a set is large enough.

        Raises:
            ValueError: it has fewer than `min_images` images.
        """
        if count < self.min_images:
            raise ValueError(
                f'FID: {count} images, expected at least {self.min_images}. The '
                'covariance of 2048 features is estimated from them; with fewer the '
                'distance is biased upwards, the more the fewer they are, and cannot '
                'be compared. Take a larger set, or leave FID out.')

    @torch.no_grad()
    def set_features(self, images: Tensor) -> Tensor:
        """Returns the features of a batch.

        Args:
            images: (B, 3, H, W) uint8 RGB. The network follows to their device.

        Returns:
            (B, 2048) float32.

        Raises:
            ValueError: other images.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                'FID: expected a uint8 batch (B, 3, H, W), found '
                f'{tuple(images.shape)} {images.dtype}.')
        self.model.to(images.device)
        resized = F.interpolate(
            images.float() / 255, size=(299, 299), mode='bilinear',
            align_corners=False)
        return self.model(2 * resized - 1)

    def distance(
        self, features_a: Union[Tensor, np.ndarray],
        features_b: Union[Tensor, np.ndarray],
    ) -> float:
        """Returns the Fréchet distance of two sets of features.

        Args:
            features_a: (N, D), as `set_features` returns for N images.
            features_b: (M, D).

        Raises:
            ValueError: one of them has fewer than `min_images` images.
        """
        self.check_count(min(len(features_a), len(features_b)))
        return frechet_distance(*_moments(features_a), *_moments(features_b))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes results laid out as mmagic's models return them, one by one."""
        for sample in data_samples:
            pair = torch.stack([
                torch.as_tensor(sample['gt_img']),
                torch.as_tensor(sample['output']['pred_img'])])
            self.results.append(self.set_features(pair).cpu().numpy())

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Returns the distance between the two halves of the results of `process`."""
        gt, pred = np.stack(results, axis=1)
        return {self.metric: self.distance(gt, pred)}


def _moments(features: Union[Tensor, np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
    features = torch.as_tensor(features).cpu().numpy().astype(np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False)
