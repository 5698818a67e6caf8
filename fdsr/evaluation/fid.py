"""The Fréchet Inception distance between the SR and the GT images of a set."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.registry import METRICS
from fdsr.weights import ExternalWeights, announce_random, safe_load
from fdsr.weights.files import check_sha256

#: pytorch-fid's weights; the file name contains the first digits of its SHA-256.
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
    Time-Scale Update Rule", 2017, equation 6. The trace of the square root is computed
    as the sum of the square roots of the eigenvalues of C_a^½ C_b C_a^½. This matrix is
    symmetric, so the result is real, also if the covariances are singular because there
    are fewer samples than dimensions.

    Args:
        mean_a: Mean (D,) of the first Gaussian.
        cov_a: Its covariance (D, D), symmetric and positive semi-definite.
        mean_b: Mean (D,) of the second Gaussian.
        cov_b: Its covariance (D, D).
    """
    values, vectors = np.linalg.eigh(np.asarray(cov_a, np.float64))
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = root @ np.asarray(cov_b, np.float64) @ root
    roots = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(min=0))
    shift = np.asarray(mean_a, np.float64) - mean_b
    distance = shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return float(distance)


def build_inception(
    weights: str | Path | None, sha256: str | None = None,
    random_weights: bool = False,
) -> tuple[nn.Module, ExternalWeights | None]:
    """Builds mmagic's Inception network for FID from a local file.

    Args:
        weights: Path of pytorch-fid's file.
        sha256: Expected hash of the file; default: that of pytorch-fid's file.
        random_weights: Use random weights with a fixed seed instead, and log a warning.
            Only for tests of the code.

    Returns:
        The frozen module, (B, 3, 299, 299) RGB in [-1, 1] -> (B, 2048), and the record
        of its file, None for random weights.

    Raises:
        ValueError: Neither or both of `weights` and `random_weights` are given, or the
            hash differs.
        FileNotFoundError: The file does not exist.
        RuntimeError: The file is not a state dict of this network.
    """
    if (weights is None) is not random_weights:
        raise ValueError(
            f'FID: weights={str(weights)!r} with random_weights={random_weights}, '
            f'expected the path of {FID_FILE}. Download it (91 MiB) from {FID_URL} '
            'and set dict(type=\'fdsr.FID\', weights=PATH).')
    if weights is None:
        announce_random('Inception of the metric FID')
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, record = _inception(), None
    else:
        weights = Path(weights).expanduser()
        found = check_sha256(
            weights, sha256 or FID_SHA256,
            f'Download it again from {FID_URL}, or pass sha256= for another file.')
        with torch.device('meta'):
            model = _inception()
        model.load_state_dict(safe_load(weights), strict=True, assign=True)
        record = ExternalWeights('fid-inception', str(weights), found, _LICENCE)
    model.fc = nn.Identity()  # the features are the classifier's input
    return model.requires_grad_(False).eval(), record


def _inception() -> nn.Module:
    """Builds torchvision's Inception with mmagic's changes for FID."""
    from mmagic.evaluation.functional.fid_inception import fid_inception_v3
    with warnings.catch_warnings():
        # mmagic passes the deprecated argument `pretrained` to torchvision.
        warnings.filterwarnings('ignore', module='torchvision')
        return fid_inception_v3(load_ckpt=False)


@METRICS.register_module()
class FID(BaseMetric):
    """Fréchet Inception distance between the SR and the GT of a set; lower is better.

    FID is one number for the whole set: `FaceEvaluator` collects the features of each
    image and model and compares them at the end. The features are those of pytorch-fid.

    Args:
        weights: Path of pytorch-fid's file.
        sha256: Hash of `weights` if it is another file.
        min_images: Smallest set for which a number is computed.
        random_weights: Only for tests of the code, see `build_inception`.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.

    Raises:
        ValueError, FileNotFoundError, RuntimeError: See `build_inception`.
    """

    metric = 'FID'
    higher_is_better = False
    digits = 2

    def __init__(
        self, weights: str | None = None, sha256: str | None = None,
        min_images: int = 2000, random_weights: bool = False,
        collect_device: str = 'cpu', prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.min_images = min_images
        self.model, self.weights_file = build_inception(
            weights, sha256, random_weights)

    def protocol(self) -> dict[str, Any]:
        """Returns the facts that are reported with the metric's numbers."""
        file = self.weights_file
        return dict(
            metric='FID', network='Inception of 2015-12-05, 2048 features',
            resize='bilinear to 299x299, not anti-aliased', input='RGB in [-1, 1]',
            border=0, reference='GT of the same images', min_images=self.min_images,
            weights_sha256='RANDOM WEIGHTS' if file is None else file.sha256)

    def check_count(self, count: int) -> None:
        """Checks that a set is large enough.

        Raises:
            ValueError: It has fewer than `min_images` images.
        """
        if count < self.min_images:
            raise ValueError(
                f'FID: {count} images, expected at least {self.min_images}. The '
                'covariance of 2048 features cannot be estimated from fewer; the '
                'distance is then biased upwards and not comparable. Use a larger set '
                'or remove FID.')

    @torch.no_grad()
    def set_features(self, images: Tensor) -> Tensor:
        """Returns the features of a batch.

        Args:
            images: (B, 3, H, W) uint8 RGB. The network is moved to their device.

        Returns:
            (B, 2048) float32.

        Raises:
            ValueError: The shape or the type differs.
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
        self, features_a: Tensor | np.ndarray,
        features_b: Tensor | np.ndarray,
    ) -> float:
        """Returns the Fréchet distance of two sets of features.

        Args:
            features_a: (N, D), as `set_features` returns them for N images.
            features_b: (M, D).

        Raises:
            ValueError: One set has fewer than `min_images` images.
        """
        self.check_count(min(len(features_a), len(features_b)))
        return frechet_distance(*_moments(features_a), *_moments(features_b))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Computes features of results in the layout of mmagic's models."""
        for sample in data_samples:
            pair = torch.stack([
                torch.as_tensor(sample['gt_img']),
                torch.as_tensor(sample['output']['pred_img'])])
            self.results.append(self.set_features(pair).cpu().numpy())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Returns the distance between the GT and SR features of `process`."""
        gt, pred = np.stack(results, axis=1)
        return {self.metric: self.distance(gt, pred)}


def _moments(features: Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = torch.as_tensor(features).cpu().numpy().astype(np.float64)
    return features.mean(axis=0), np.cov(features, rowvar=False)
