"""Matching the distributions of features without a discriminator."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import MODELS


@MODELS.register_module()
class SlicedWassersteinLoss(FeatureLoss):
    """Sliced 2-Wasserstein distance, squared, of the pixels' features in each sample.

    The features of a sample's pixels, vectors of C numbers, are projected onto random
    directions; along each of them the student's sorted values are compared with the
    teacher's. Where a feature stands in the picture does not matter.

    Args:
        num_projections: directions, drawn anew from torch's generator each time.
        max_pixels: of a larger map so many pixels are drawn, the same of both.
        **kwargs: as ``FeatureLoss``.

    Raises:
        ValueError: a number is not positive.
    """

    name = 'sliced_wasserstein'

    def __init__(self, num_projections: int = 64, max_pixels: int = 4096,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if min(num_projections, max_pixels) < 1:
            raise ValueError(
                'num_projections and max_pixels have to be at least 1, found '
                f'{num_projections} and {max_pixels}.')
        self.num_projections, self.max_pixels = num_projections, max_pixels

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ``FeatureLoss.forward``."""
        ours, theirs = student.flatten(2), teacher.flatten(2)
        if ours.shape[2] > self.max_pixels:
            chosen = torch.randperm(
                ours.shape[2], device=ours.device)[:self.max_pixels]
            ours, theirs = ours[:, :, chosen], theirs[:, :, chosen]
        directions = F.normalize(torch.randn(
            self.num_projections, ours.shape[1], device=ours.device), dim=1)
        with torch.autocast(ours.device.type, enabled=False):
            ours, theirs = ((directions @ pixels.float()).sort(dim=2).values
                            for pixels in (ours, theirs))
            return (ours - theirs).square().mean()
