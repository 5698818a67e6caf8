"""Blur kernels: float64, square, of odd size, symmetric, with the sum 1.

x points to the right and y down, so that a positive angle rotates from the right of the
image towards the bottom.
"""
from __future__ import annotations

import math

import numpy as np


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None,
                    angle: float = 0.0) -> np.ndarray:
    """Returns a Gaussian, sampled at the centres of the pixels.

    Args:
        size: Side of the kernel in pixels, odd.
        sigma_x: Standard deviation along the first axis in pixels, > 0.
        sigma_y: Standard deviation along the second axis; default: ``sigma_x``.
        angle: Rotation of the axes in radians.

    Returns:
        (size, size) float64.

    Raises:
        ValueError: ``size`` is not an odd number >= 1, or a deviation is not positive.
    """
    sigma_y = sigma_x if sigma_y is None else sigma_y
    if size != int(size) or size < 1 or size % 2 == 0:
        raise ValueError(f'size is {size}, expected an odd number >= 1.')
    if min(sigma_x, sigma_y) <= 0:
        raise ValueError(f'The deviations are {sigma_x} and {sigma_y}, expected '
                         'numbers > 0.')
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = math.cos(angle) * x + math.sin(angle) * y
    across = -math.sin(angle) * x + math.cos(angle) * y
    kernel = np.exp(-0.5 * ((along / sigma_x)**2 + (across / sigma_y)**2))
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Returns the kernel of a point that moves uniformly along a straight line.

    Args:
        length: Length of the line in pixels, >= 0; 0 means no blur.
        angle: Angle of the line in radians.

    Returns:
        (S, S) float64; S is the smallest odd size for any direction.

    Raises:
        ValueError: ``length`` is negative.
    """
    if length < 0:
        raise ValueError(f'length is {length}, expected a number >= 0.')
    half = math.ceil(length / 2)
    if half == 0:
        return np.ones((1, 1))
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    pieces = 64 * half
    for step in length * ((np.arange(pieces) + 0.5) / pieces - 0.5):
        # bilinear weights of the four neighbours
        x, y = half + step * math.cos(angle), half + step * math.sin(angle)
        left, top = min(int(x), 2 * half - 1), min(int(y), 2 * half - 1)
        across, down = x - left, y - top
        kernel[top:top + 2, left:left + 2] += np.outer(
            [1 - down, down], [1 - across, across])
    return kernel / kernel.sum()
