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
    weights = _keys(taps[None, :] - centres[:, None])
    return weights / weights.sum(dim=1, keepdim=True)


def window_matrix(size: int, start: float, stop: float, samples: int) -> Tensor:
    """Returns the matrix that resamples a window of an axis.

    PIL's bicubic filter, which is antialiased when it downsamples. The axis continues
    beyond its ends by reflection about its outermost pixels, as in ``alignment.cut``.

    Args:
        size: number of pixels along the axis; pixel k covers k to k + 1.
        start: first end of the window, in pixels; may be outside of the axis.
        stop: other end.
        samples: number of pixels of the result.

    Returns:
        (samples, size) float64.
    """
    step = (stop - start) / samples
    width = max(step, 1.0)
    beyond = 2 + int(2 * width + max(0.0, -start, stop - size))
    positions = torch.arange(-beyond, size + beyond)
    centres = start + (torch.arange(samples, dtype=torch.float64) + 0.5) * step
    weights = _keys((positions[None, :] + 0.5 - centres[:, None]) / width)
    period = max(2 * (size - 1), 1)
    folded = positions.remainder(period)
    folded = torch.minimum(folded, period - folded)
    result = torch.zeros(samples, size, dtype=torch.float64)
    result.index_add_(1, folded, weights)
    return result / result.sum(dim=1, keepdim=True)


def _keys(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel."""
    x = x.abs()
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


class BicubicUpsample(nn.Module):
    """Upsamples like ``PIL.Image.resize(..., BICUBIC)`` in mode F.

    Multiplies with two fixed matrices instead of calling ``F.interpolate`` with
    ``antialias=True``, which gives the same values up to 2.4e-7 but which the ONNX
    exporter (``dynamo=False``) does not support. ONNX files contain a form for any size
    of image. It does not use the operator ``Resize``, with which ONNX Runtime takes
    longer for the upsampling than for the rest of a small student.

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
        if torch.onnx.is_in_onnx_export():
            once = _upsampled_width(image, self.scale)
            return _upsampled_width(once.transpose(2, 3), self.scale).transpose(2, 3)
        return _upsampled(image, self.scale)


def _upsampled(image: Tensor, scale: int) -> Tensor:
    height, width = int(image.shape[-2]), int(image.shape[-1])
    rows = bicubic_matrix(height, scale).to(image)
    columns = rows if height == width else bicubic_matrix(width, scale).to(image)
    return rows @ image @ columns.T


def _upsampled_width(image: Tensor, scale: int) -> Tensor:
    """Upsamples (B, C, h, w) to (B, C, h, w · scale), without a matrix of size w."""
    shifts = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = torch.arange(-2, 3, dtype=torch.float64)
    weights = _keys(taps[:, None] - shifts[None, :]).to(image)

    def weighted(values: Tensor) -> Tensor:
        width, values = values.shape[-1], F.pad(values, (2, 2))
        around = [values[..., tap:tap + width] for tap in range(len(taps))]
        return (torch.stack(around, dim=-1) @ weights).flatten(-2)

    return weighted(image) / weighted(torch.ones_like(image[:1, :1, :1]))


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
