"""Prediction of the atoms that match HR, a task for training only."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.dictionary_teacher import DictionaryTeacher
from fdsr.models.backbones.encoder import layout_of
from fdsr.models.dictionary.component_dictionary import DictionarySpec
from fdsr.models.dictionary.roi import BoxRegions

ATOMS = ':atoms'


@torch.no_grad()
def matched_atoms(teacher: DictionaryTeacher, hr: Tensor, boxes: Tensor) -> Tensor:
    """Returns the atom that matches each component of HR best at each level.

    Args:
        teacher: its encoder and dictionary are used.
        hr: (B, 3, H, W) RGB in [0, 1].
        boxes: (B, 4, 4), as for the teacher.

    Returns:
        Indices (B, 4, L).
    """
    dictionary, found = teacher.dictionary, []
    strides = layout_of(teacher.encoder.layout).strides
    for level, (feature, stride) in enumerate(zip(teacher.encoder(hr), strides)):
        for order, component in enumerate(COMPONENTS):
            regions = BoxRegions(boxes[:, order], stride, feature.shape[-2:])
            side = dictionary.spec.sides[component][level]
            crop = regions.resize(regions.cut(feature).float(), side)
            found.append(dictionary.match(component, level, crop))
    return torch.stack(found, 1).view(len(hr), -1, len(COMPONENTS)).mT


class AtomHead(nn.Module):
    """Predicts atoms from a student's feature, with one linear layer per component.

    The student learns which atoms match HR, as CodeFormer's transformer learns the
    codes of HR (Zhou et al., NeurIPS 2022). The finished student has no head.

    Args:
        spec: shape of the teacher's dictionary, with the same number of atoms at every
            component and level.
        channels: channels of the student's feature.
        tap: tap of the student.
        loss_weight: factor of the cross-entropy.
        side: side of the crops of the components.
    """

    def __init__(self, spec: DictionarySpec, channels: int, tap: str,
                 loss_weight: float = 0.1, side: int = 6) -> None:
        super().__init__()
        self.tap, self.loss_weight, self.side = tap, loss_weight, side
        self.num_atoms = spec.num_atoms[COMPONENTS[0]][0]
        scores = len(spec.channels) * self.num_atoms
        self.heads = nn.ModuleList(
            nn.Linear(channels * side**2, scores) for _ in COMPONENTS)

    def forward(self, feature: Tensor, boxes: Tensor, sr_side: int) -> Tensor:
        """Returns scores (B, 4, L, K).

        Args:
            feature: (B, C, h, w) of the student.
            boxes: (B, 4, 4) in SR pixels.
            sr_side: side of SR.
        """
        crops = roi_align(feature.float(), list(boxes.float()), self.side,
                          feature.shape[-1] / sr_side, aligned=True)
        crops = crops.view(len(feature), len(COMPONENTS), -1)
        scores = torch.stack([head(crops[:, order])
                              for order, head in enumerate(self.heads)], 1)
        return scores.unflatten(-1, (-1, self.num_atoms))

    def losses(self, scores: Tensor, atoms: Tensor) -> dict[str, Tensor]:
        """Returns the weighted cross-entropy, and the accuracy to log.

        Args:
            scores: (B, 4, L, K).
            atoms: (B, 4, L) indices.
        """
        loss = F.cross_entropy(scores.float().flatten(0, 2), atoms.flatten())
        accuracy = (scores.argmax(-1) == atoms).float().mean()
        return dict(loss_atoms=self.loss_weight * loss, atoms_found=accuracy)
