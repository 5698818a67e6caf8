"""Conversion of network outputs to 8-bit images."""

import torch
from torch import Tensor


def to_uint8(image: Tensor) -> Tensor:
    """Converts RGB in [0, 1], not clamped, to uint8 with rounding."""
    return (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
