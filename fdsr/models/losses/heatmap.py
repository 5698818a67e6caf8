"""Losses with landmark heatmaps."""

from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.heatmaps import attention_map
from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import MODELS


@MODELS.register_module()
class HeatmapLoss(FeatureLoss):
    """Mean squared difference of heatmaps, for the distillation of landmark networks.

    Samples whose heatmaps by the teacher are zero everywhere are skipped: it has found
    no face in them.

    Args:
        teacher, student: taps, see ``FeatureLoss``; default: the outputs.
        **kwargs: other arguments of ``FeatureLoss``.
    """

    name = 'heatmap'

    def __init__(self, teacher: str = ':output', student: str | None = None,
                 **kwargs) -> None:
        super().__init__(teacher=teacher, student=student, connector=False, **kwargs)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the loss of (B, K, h, w); 0 if every sample is skipped."""
        used = (teacher.flatten(1) != 0).any(1)
        errors = (student.float() - teacher.float()).square().flatten(1).mean(1)
        return (errors * used).sum() / used.sum().clamp(min=1)


@MODELS.register_module()
class FacialAttentionLoss(nn.Module):
    """Absolute pixel difference weighted by landmark heatmaps (Kim et al., BMVC 2019).

    mean(M · |SR − GT|) on images in [−1, 1], where M is the maximum of the heatmaps
    over all landmarks. Errors far from every landmark do not count.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, sr: Tensor, gt: Tensor, heatmaps: Tensor) -> Tensor:
        """Returns the weighted loss.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: (B, 3, H, W) RGB in [0, 1].
            heatmaps: (B, K, h, w), resized to the images; values outside [0, 1] are
                clamped.

        Returns:
            A scalar in fp32.

        Raises:
            ValueError: the shapes do not match, or a sample has empty heatmaps.
        """
        if sr.shape != gt.shape or heatmaps.ndim != 4 or len(heatmaps) != len(sr):
            raise ValueError(
                f'FacialAttentionLoss: SR is {tuple(sr.shape)}, GT is '
                f'{tuple(gt.shape)} and the heatmaps are {tuple(heatmaps.shape)}; '
                'expected images of one shape and heatmaps (B, K, h, w).')
        attention = attention_map(heatmaps.float())
        if not attention.flatten(1).any(1).all():
            raise ValueError(
                'FacialAttentionLoss: a sample has no landmarks: its heatmaps have no '
                'positive value. Remove the image from the training list, or train the '
                'landmark network for longer.')
        attention = F.interpolate(
            attention, size=sr.shape[-2:], mode='bilinear', align_corners=False)
        difference = 2 * (sr.float() - gt.float())
        return self.loss_weight * (attention * difference.abs()).mean()
