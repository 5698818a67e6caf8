"""Bicubic up-sampling as PIL computes it, inside a network."""

from typing import Tuple

import torch
from torch import Tensor, nn

_CUBIC_A = -0.5  # PIL's; torch's own bicubic has -0.75
_CUBIC_SUPPORT = 2.0


def cubic_kernel(distance: Tensor, a: float = _CUBIC_A) -> Tensor:
    """Keys' cubic convolution kernel, zero beyond a distance of 2."""
    x = distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < _CUBIC_SUPPORT, far, 0.0))


def bicubic_matrix(size: int, scale: int) -> Tensor:
    """The matrix that up-samples a signal as PIL's bicubic does.

    PIL drops the taps beyond the border and lets the others sum to one.

    Args:
        size: length of the signal.
        scale: integer factor.

    Returns:
        (size · scale, size) float64.
    """
    centres = (torch.arange(size * scale, dtype=torch.float64) + 0.5) / scale
    taps = torch.arange(size, dtype=torch.float64) + 0.5
    weights = cubic_kernel(taps[None, :] - centres[:, None])
    return weights / weights.sum(dim=1, keepdim=True)


class BicubicUpsample(nn.Module):
    """Up-samples by an integer as ``PIL.Image.resize(..., BICUBIC)`` in mode F.

    Two fixed matrices, one from each side, do it: exact, fast, and exportable.

    Args:
        scale: factor, 1 or more; 1 returns the input.

    Raises:
        ValueError: the factor is no whole number of at least 1.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        if int(scale) != scale or scale < 1:
            raise ValueError(f'scale has to be a whole number >= 1, found {scale}.')
        self.scale = int(scale)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, h, w) in any range to (B, C, h · scale, w · scale) in the same."""
        if self.scale == 1:
            return image
        rows, columns = self._matrices(image)
        return rows @ image @ columns.T

    def _matrices(self, image: Tensor) -> Tuple[Tensor, Tensor]:
        height, width = int(image.shape[-2]), int(image.shape[-1])
        rows = bicubic_matrix(height, self.scale).to(image)
        if height == width:
            return rows, rows
        return rows, bicubic_matrix(width, self.scale).to(image)
