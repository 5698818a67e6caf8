"""From what networks compute to what is shown and measured."""

import torch
from torch import Tensor


def to_uint8(image: Tensor) -> Tensor:
    """RGB in [0, 1], not clamped, to uint8, rounded."""
    return (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
