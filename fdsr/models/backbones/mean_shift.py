"""Conversion between RGB in [0, 1] and the input range of RCAN and SRFBN."""

import torch
from torch import Tensor, nn

#: RGB mean of the DIV2K images in [0, 1].
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255


class MeanShift(nn.Module):
    """Converts between [0, 1] and [0, 255] with the mean of DIV2K subtracted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            'mean', torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)

    def subtract(self, image: Tensor) -> Tensor:
        """Maps (B, 3, H, W) RGB in [0, 1] to the mean-shifted range."""
        return (image - self.mean) * RANGE

    def add(self, image: Tensor) -> Tensor:
        """Maps (B, 3, H, W) in the mean-shifted range to RGB, not clamped to [0, 1]."""
        return image / RANGE + self.mean
