"""Each place of the student's features has to find its own among the teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import MODELS


@MODELS.register_module()
class ContrastiveLoss(FeatureLoss):
    """InfoNCE between the places of both feature maps (PatchNCE, Park et al. 2020).

    Of every face some places are drawn, the same of both networks. A student's feature
    is drawn to the teacher's at its own place of its own face, and away from the
    teacher's at all the others: -log of the softmax of the cosines over the
    temperature. Only directions count, not lengths.

    Args:
        temperature: the smaller, the more the nearest of the others counts.
        num_pixels: places of each face.
        across_faces: whether the other faces of the batch are among the others; with
            False each face is for itself.
        **kwargs: as ``FeatureLoss``.

    Raises:
        ValueError: the temperature or the number of places is not positive.
    """

    name = 'contrastive'

    def __init__(self, temperature: float = 0.07, num_pixels: int = 256,
                 across_faces: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        if temperature <= 0 or num_pixels < 1:
            raise ValueError(
                'temperature has to be positive and num_pixels at least 1, found '
                f'{temperature} and {num_pixels}.')
        self.temperature, self.num_pixels = temperature, num_pixels
        self.across_faces = across_faces

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ``FeatureLoss.forward``."""
        places = student.shape[2] * student.shape[3]
        chosen = torch.randperm(places, device=student.device)[:self.num_pixels]
        with torch.autocast(student.device.type, enabled=False):
            ours, theirs = (self._directions(feature, chosen)
                            for feature in (student, teacher))
            logits = ours @ theirs.transpose(1, 2) / self.temperature
            own = torch.arange(logits.shape[1], device=logits.device)
            return F.cross_entropy(logits.flatten(0, 1), own.repeat(len(logits)))

    def _directions(self, feature: Tensor, chosen: Tensor) -> Tensor:
        """(B, C, H, W) to (B, N, C), or (1, B · N, C) across faces, of length 1."""
        pixels = F.normalize(feature.flatten(2)[:, :, chosen].float(), dim=1)
        pixels = pixels.transpose(1, 2)
        return pixels.flatten(0, 1)[None] if self.across_faces else pixels
