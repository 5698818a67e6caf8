"""From RGB in [0, 1] to the range that RCAN and SRFBN compute in, and back."""

import torch
from torch import Tensor, nn

#: RGB, of pictures in [0, 1].
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255


class MeanShift(nn.Module):
    """RGB in [0, 255] less the mean of DIV2K."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            'mean', torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)

    def subtract(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to the inner range."""
        return (image - self.mean) * RANGE

    def add(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in the inner range to [0, 1], not clamped."""
        return image / RANGE + self.mean
