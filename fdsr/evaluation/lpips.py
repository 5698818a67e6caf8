"""LPIPS 0.1 as a metric."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.evaluation.pair_metric import PairMetric
from fdsr.models.lpips import VERSION, LPIPSWeights
from fdsr.registry import METRICS

# Smallest side whose last feature map is not empty.
_MIN_SIZE = {'alex': 31, 'vgg16': 16}


@METRICS.register_module()
class LPIPS(PairMetric):
    """Learned perceptual distance, version 0.1; lower is better.

    Args:
        net: 'alex' (column 'LPIPS') or 'vgg16' (column 'LPIPS-vgg16').
        weights: File of the trunk; default: found by `fdsr.weights`.
        sha256: Hash of `weights` if it is not a known file.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.

    Raises:
        ValueError, ImportError, FileNotFoundError: See `LPIPSWeights.read`.
    """

    metric = 'LPIPS'
    higher_is_better = False
    digits = 4

    def __init__(
        self, net: str = 'alex', weights: str | None = None,
        sha256: str | None = None, collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.net = net
        if net != 'alex':
            self.metric = f'LPIPS-{net}'
        self._weights = LPIPSWeights.read(net, weights, sha256)
        self.trunk_file = self._weights.trunk_file
        self.heads_file = self._weights.heads_file

    @cached_property
    def model(self) -> nn.Module:
        """The network, built on first use: a training starts without it."""
        return self._weights.build()

    def check_size(self, size: int) -> None:
        """Checks that images are large enough for the network.

        Raises:
            ValueError: The smaller side is less than 31 (alex) or 16 pixels (vgg16).
        """
        least = _MIN_SIZE[self.net]
        if size < least:
            raise ValueError(
                f'LPIPS: images of {size} px, expected at least {least} px for '
                f'net={self.net!r}. Remove LPIPS from the metrics, or use larger '
                'images.')

    def protocol(self) -> dict[str, Any]:
        """Returns the facts that are reported with the metric's numbers."""
        return dict(
            metric='LPIPS', net=self.net, version=VERSION, input='RGB in [-1, 1]',
            border=0, trunk_sha256=self.trunk_file.sha256,
            heads_sha256=self.heads_file.sha256)

    @torch.no_grad()
    def process_batch(self, gt: Tensor, pred: Tensor) -> list[float]:
        """Returns the distance of each pair of a batch.

        Args:
            gt: (B, 3, H, W) uint8 RGB.
            pred: (B, 3, H, W) uint8 RGB. The network is moved to its device.

        Returns:
            B distances.

        Raises:
            ValueError: The shapes differ, the type is not uint8, or the images are
                too small, see `check_size`.
        """
        self.check_batch(gt, pred)
        self.check_size(min(gt.shape[-2:]))
        self.model.to(pred.device)
        gt = gt.to(pred.device)
        values = self.model(pred.float() / 127.5 - 1, gt.float() / 127.5 - 1)
        return values.flatten().tolist()
