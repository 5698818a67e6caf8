"""Distillation of the similarities between the positions of a feature map."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import MODELS


@MODELS.register_module()
class FeatureAffinityLoss(FeatureLoss):
    """Mean absolute difference of spatial affinity matrices (FAKD, He et al. 2020).

    The affinity matrix (H·W, H·W) contains the cosine similarity of every two
    positions. It is invariant to rotations of the channels, so the two networks need
    neither the same basis nor the same number of channels, and no connector.

    Args:
        max_side: larger maps are average-pooled to this side first; the affinity
            matrix of a map of 256 × 256 would need 16 GiB.
        **kwargs: arguments of ``FeatureLoss`` except ``connector``.

    Raises:
        ValueError: ``max_side`` is not positive.
    """

    name = 'affinity'
    same_channels = False

    def __init__(self, max_side: int = 32, **kwargs) -> None:
        super().__init__(connector=False, **kwargs)
        if max_side < 1:
            raise ValueError(f'max_side: expected at least 1, found {max_side}.')
        self.max_side = max_side

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the loss, see ``FeatureLoss.forward``; channels may differ."""
        with torch.autocast(student.device.type, enabled=False):
            return (self._affinity(student) - self._affinity(teacher)).abs().mean()

    def _affinity(self, feature: Tensor) -> Tensor:
        size = [min(side, self.max_side) for side in feature.shape[-2:]]
        pooled = F.adaptive_avg_pool2d(feature.float(), size)
        positions = F.normalize(pooled.flatten(2), dim=1)
        return positions.transpose(1, 2) @ positions
