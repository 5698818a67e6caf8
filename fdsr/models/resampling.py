"""Bicubic resampling that equals PIL's."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_A = -0.5  # as in PIL; F.interpolate without antialias uses -0.75


def bicubic_matrix(size: int, scale: int) -> Tensor:
    """Returns the matrix of PIL's bicubic upsampling along one axis.

    As in PIL, taps beyond the border are dropped and the others sum to one.

    Args:
        size: number of pixels along the axis.
        scale: integer factor.

    Returns:
        (size · scale, size) float64.
    """
    centres = (torch.arange(size * scale, dtype=torch.float64) + 0.5) / scale
    taps = torch.arange(size, dtype=torch.float64) + 0.5
    x = (taps[None, :] - centres[:, None]).abs()
    # Keys' cubic convolution kernel
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    return weights / weights.sum(dim=1, keepdim=True)


class BicubicUpsample(nn.Module):
    """Upsamples like ``PIL.Image.resize(..., BICUBIC)`` in mode F.

    Multiplies with two fixed matrices instead of calling ``F.interpolate`` with
    ``antialias=True``, which gives the same values up to 2.4e-7 but which the ONNX
    exporter (``dynamo=False``) does not support.

    Args:
        scale: integer factor of at least 1; 1 returns the input.

    Raises:
        ValueError: ``scale`` is not a whole number of at least 1.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        if int(scale) != scale or scale < 1:
            raise ValueError(
                f'scale: expected a whole number of at least 1, found {scale}.')
        self.scale = int(scale)

    def forward(self, image: Tensor) -> Tensor:
        """Upsamples (B, C, h, w) in any range to (B, C, h · scale, w · scale)."""
        if self.scale == 1:
            return image
        height, width = int(image.shape[-2]), int(image.shape[-1])
        rows = bicubic_matrix(height, self.scale).to(image)
        columns = (rows if height == width else
                   bicubic_matrix(width, self.scale).to(image))
        return rows @ image @ columns.T


def downsample(image: Tensor, side: int) -> Tensor:
    """Downsamples like ``PIL.Image.resize(..., BICUBIC)`` in mode F, anti-aliased.

    Args:
        image: (B, C, H, H).
        side: side of the result; the image's own side returns the image.

    Returns:
        (B, C, side, side).
    """
    if image.shape[-1] == side:
        return image
    return F.interpolate(image, size=(side, side), mode='bicubic', antialias=True)
