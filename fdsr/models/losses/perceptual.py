"""The perceptual term of equation (1): distance of SR and GT in VGG features."""

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
    """Weighted sum of distances between the VGG features of SR and GT.

    The third term of equation (1). The paper specifies neither the layers f_i nor
    their weights; the defaults are DFDNet's. ESRGAN's variant, features before the
    ReLU, is ``layers={'conv5_4': 1.0}, criterion='l1'`` with VGG-19.

    Args:
        encoder: ``'vgg19'`` or ``'vgg16'``.
        layers: {layer name: weight}. Default: 0.5, 1, 2, 4 on relu1_1 to relu4_1.
        criterion: ``'mse'`` or ``'l1'``, the mean over all elements of a layer.
        loss_weight: factor of the sum.
        pretrained: ``'imagenet'``, a path, or None for random values, see
            ``FrozenVGG``.
        sha256: hash of the file in ``pretrained``, if it is not a known file.
        window: side of a random window, the same in SR and GT, to which the images
            are cropped in training mode. Default: no crop. The cost is proportional
            to the area.
        faces: number of images of each batch to compare in training mode. Default:
            all. The cost is proportional to the number.

    Attributes:
        external_weights: file of the VGG's values; None if they are random.

    Raises:
        KeyError: unknown ``encoder`` or layer.
        FileNotFoundError: the VGG's file is not on this machine.
        ValueError: unknown ``criterion``, ``window`` below 16, ``faces`` below 1, no
            layers, or a file with an unexpected hash.
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
        self.trunk.external_weights = None  # this module reports the file

    def forward(self, sr: Tensor, gt: Tensor,
                target_features: Optional[Dict[str, Tensor]] = None) -> Tensor:
        """Returns the weighted sum of the layers' distances.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: (B, 3, H, W) RGB in [0, 1], treated as a constant.
            target_features: precomputed VGG features of the compared images of
                ``gt``, by layer. Default: computed here.

        Returns:
            A scalar in fp32.

        Raises:
            ValueError: ``target_features`` together with ``window``.
        """
        if self.faces is not None and self.training:
            sr, gt = sr[:self.faces], gt[:self.faces]
        if self.window is not None and self.training:
            if target_features is not None:
                raise ValueError(
                    'PerceptualLoss: the precomputed features of GT cover the whole '
                    f'image, but window={self.window} crops it. Remove window, or '
                    'train without precomputed features.')
            sr, gt = self._windows(sr, gt)
        if target_features is None:
            with torch.no_grad():
                target_features = self.trunk(gt)
        features = self.trunk(sr)
        distance = _CRITERIA[self.criterion]
        total = sum(
            weight * distance(features[name].float(), target_features[name].float())
            for name, weight in self.layers.items())
        return self.loss_weight * total

    def _windows(self, sr: Tensor, gt: Tensor) -> Tuple[Tensor, Tensor]:
        height, width = (min(side, self.window) for side in sr.shape[-2:])
        top = int(torch.randint(sr.shape[-2] - height + 1, ()))
        left = int(torch.randint(sr.shape[-1] - width + 1, ()))
        rows, columns = slice(top, top + height), slice(left, left + width)
        return sr[..., rows, columns], gt[..., rows, columns]
