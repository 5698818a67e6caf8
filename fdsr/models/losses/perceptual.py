"""The perceptual term of eq. (1): how far SR is from GT in features of a VGG."""

from pathlib import Path
from typing import Dict, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.vgg import FrozenVGG
from fdsr.registry import MODELS
from fdsr.weights import ExternalWeights

DEFAULT_LAYERS = {'relu1_1': 0.5, 'relu2_1': 1.0, 'relu3_1': 2.0, 'relu4_1': 4.0}
_CRITERIA = {'mse': F.mse_loss, 'l1': F.l1_loss}


@MODELS.register_module()
class PerceptualLoss(nn.Module):
    """Weighted distances between the VGG features of SR and of GT.

    The third term of eq. (1). The paper names neither the layers f_i nor their
    weights; the default are DFDNet's. ESRGAN's variant is ``layers={'conv5_4': 1.0},
    criterion='l1'`` with VGG-19: features before the ReLU.

    Args:
        encoder: 'vgg19' or 'vgg16'.
        layers: {layer name: weight}; default 0.5, 1, 2, 4 on relu1_1 to relu4_1.
        criterion: 'mse' or 'l1', the mean over all elements of a layer.
        loss_weight: factor of the sum.
        pretrained: as for `FrozenVGG`: 'imagenet', a path, or None (random).
        sha256: the hash of the file in `pretrained`, when it is not a known one.
        window: compare one random window of that side in each batch, the same of SR
            and of GT, while in training mode; default: the whole picture. A quarter
            of the area costs a quarter.
        faces: compare the first so many pictures of each batch, while in training
            mode; default: all. A quarter of the pictures costs a quarter, and each
            is seen whole.

    Attributes:
        external_weights: the file that the trunk's values come from, None when random.

    Raises:
        ValueError: another `criterion`, a window under 16, no faces, or what
            `FrozenVGG` raises.
    """

    def __init__(
        self,
        encoder: str = 'vgg19',
        layers: Optional[Dict[str, float]] = None,
        criterion: str = 'mse',
        loss_weight: float = 1.0,
        pretrained: Optional[Union[str, Path]] = 'imagenet',
        sha256: Optional[str] = None,
        window: Optional[int] = None,
        faces: Optional[int] = None,
    ) -> None:
        super().__init__()
        if criterion not in _CRITERIA:
            raise ValueError(
                f'PerceptualLoss: criterion={criterion!r}, expected one of '
                f'{sorted(_CRITERIA)}.')
        if window is not None and window < 16:
            raise ValueError(
                f'PerceptualLoss: window={window}, expected at least 16 pixels.')
        if faces is not None and faces < 1:
            raise ValueError(
                f'PerceptualLoss: faces={faces}, expected at least 1 of a batch.')
        self.window, self.faces = window, faces
        self.layers = dict(DEFAULT_LAYERS if layers is None else layers)
        self.criterion = criterion
        self.loss_weight = loss_weight
        self.trunk = FrozenVGG(encoder, self.layers, pretrained, sha256)
        self.external_weights: Optional[ExternalWeights] = self.trunk.external_weights
        self.trunk.external_weights = None  # this module speaks for it

    def forward(self, sr: Tensor, gt: Tensor,
                target_features: Optional[Dict[str, Tensor]] = None) -> Tensor:
        """Returns the weighted sum of the layers' distances.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: (B, 3, H, W) RGB in [0, 1]; its features are computed without a graph.
            target_features: features of GT by layer, if available: of whole images,
                and only of those that are compared.

        Returns:
            A scalar in fp32.

        Raises:
            ValueError: ``target_features`` beside a window.
        """
        if self.faces is not None and self.training:
            sr, gt = sr[:self.faces], gt[:self.faces]
        if self.window is not None and self.training:
            if target_features is not None:
                raise ValueError(
                    "PerceptualLoss: GT's features at hand are those of the whole "
                    'picture, but window compares a part of it. Leave one of them out.')
            sr, gt = self._windows(sr, gt)
        if target_features is None:
            with torch.no_grad():
                target_features = self.trunk(gt)
        found = self.trunk(sr)
        distance = _CRITERIA[self.criterion]
        total = sum(
            weight * distance(found[name].float(), target_features[name].float())
            for name, weight in self.layers.items())
        return self.loss_weight * total

    def _windows(self, sr: Tensor, gt: Tensor) -> Tuple[Tensor, Tensor]:
        height, width = (min(side, self.window) for side in sr.shape[-2:])
        top = int(torch.randint(sr.shape[-2] - height + 1, ()))
        left = int(torch.randint(sr.shape[-1] - width + 1, ()))
        rows, columns = slice(top, top + height), slice(left, left + width)
        return sr[..., rows, columns], gt[..., rows, columns]
