"""Prediction of the dictionary's atoms that match HR, a task for training only."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from fdsr.geometry.components import COMPONENTS
from fdsr.registry import MODELS


@MODELS.register_module()
class AtomLoss(nn.Module):
    """Lets a student predict the atoms of a dictionary that match HR.

    One linear layer per component predicts, from a feature of the student, which atom
    matches the encoder's feature of HR best at each level; the loss is the
    cross-entropy. CodeFormer's transformer learns the codes of HR in a similar way
    (Zhou et al., NeurIPS 2022), but the finished student has neither these layers nor
    a dictionary.

    Args:
        tap: tap of the student, see ``FeatureTaps``.
        channels: channels of the student's feature at the tap.
        num_atoms: number of atoms at every component and level.
        levels: levels of the dictionary.
        side: side of the crops of the components.
        loss_weight: factor of the cross-entropy.
    """

    def __init__(self, tap: str, channels: int, num_atoms: int, levels: int,
                 side: int = 6, loss_weight: float = 0.1) -> None:
        super().__init__()
        self.tap, self.num_atoms, self.side = tap, num_atoms, side
        self.loss_weight = loss_weight
        self.heads = nn.ModuleList(
            nn.Linear(channels * side**2, levels * num_atoms) for _ in COMPONENTS)

    def forward(self, feature: Tensor, boxes: Tensor, atoms: Tensor, sr_side: int
                ) -> dict[str, Tensor]:
        """Returns the weighted cross-entropy, and the accuracy to log.

        Args:
            feature: (B, C, h, w) of the student.
            boxes: (B, 4, 4) in SR pixels.
            atoms: (B, 4, L) indices, see ``DictionaryTeacher.matching_atoms``.
            sr_side: side of SR.
        """
        scores = self.scores(feature, boxes, sr_side)
        loss = F.cross_entropy(scores.flatten(0, 2), atoms.flatten())
        accuracy = (scores.argmax(-1) == atoms).float().mean()
        return dict(loss_atoms=self.loss_weight * loss, atoms_found=accuracy)

    def scores(self, feature: Tensor, boxes: Tensor, sr_side: int) -> Tensor:
        """Returns the scores of all atoms, (B, 4, L, K) fp32."""
        crops = roi_align(feature.float(), list(boxes.float()), self.side,
                          feature.shape[-1] / sr_side, aligned=True)
        crops = crops.view(len(feature), len(COMPONENTS), -1)
        scores = torch.stack([head(crops[:, order])
                              for order, head in enumerate(self.heads)], 1)
        return scores.unflatten(-1, (-1, self.num_atoms)).float()
