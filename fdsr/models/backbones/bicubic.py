"""Bicubic upsampling, a baseline without trainable parameters."""

import torch
from torch import Tensor

from fdsr.models.contract import Backbone
from fdsr.models.resampling import bicubic_matrix
from fdsr.registry import MODELS

#: PIL rounds the weights for 8-bit images to multiples of 2^-22.
_PRECISION = 2.0**22


@MODELS.register_module()
class Bicubic(Backbone):
    """Bicubic upsampling that is bit-exact with PIL on 8-bit images.

    The horizontal pass runs first, then the vertical pass; both round and clamp.

    Args:
        scale: integer factor from LR to SR.
    """

    def __init__(self, scale: int = 8) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """Returns the upsampled image.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1]; rounded to 8 bits first.

        Returns:
            (B, 3, h · scale, w · scale) RGB in [0, 1], multiples of 1/255.
        """
        pixels = (lr.double() * 255).round()
        wide = _to_8_bits(pixels @ self._weights(lr.shape[-1], lr.device).T)
        tall = _to_8_bits(self._weights(lr.shape[-2], lr.device) @ wide)
        return (tall / 255).to(lr.dtype)

    def _weights(self, size: int, device: torch.device) -> Tensor:
        exact = bicubic_matrix(size, self.scale).to(device)
        return (exact * _PRECISION).round() / _PRECISION


def _to_8_bits(image: Tensor) -> Tensor:
    return (image + 0.5).floor().clamp(0, 255)
