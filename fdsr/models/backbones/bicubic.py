"""Bicubic up-sampling, the baseline that has nothing to learn."""

import torch
from torch import Tensor

from fdsr.models.contract import Backbone
from fdsr.models.resampling import bicubic_matrix
from fdsr.registry import MODELS

#: PIL keeps the weights of 8-bit pictures as whole multiples of 2^-22.
_PRECISION = 2.0**22


@MODELS.register_module()
class Bicubic(Backbone):
    """PIL's bicubic on 8-bit pictures, to the bit.

    Each of the two passes, first along rows, then along columns, rounds and clips.

    Args:
        scale: whole factor from LR to SR.
    """

    def __init__(self, scale: int = 8) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1], rounded to 8 bits, to (B, 3, h · scale,
        w · scale) in steps of 1/255."""
        pixels = (lr.double() * 255).round()
        wide = _to_8_bits(pixels @ self._weights(lr.shape[-1], lr.device).T)
        tall = _to_8_bits(self._weights(lr.shape[-2], lr.device) @ wide)
        return (tall / 255).to(lr.dtype)

    def _weights(self, size: int, device: torch.device) -> Tensor:
        exact = bicubic_matrix(size, self.scale).to(device)
        return (exact * _PRECISION).round() / _PRECISION


def _to_8_bits(image: Tensor) -> Tensor:
    return (image + 0.5).floor().clamp(0, 255)
