"""Blur kernels: odd squares of float64 that sum to one, symmetric about their centre.

Offsets are counted from the centre, x to the right and y downwards, so an angle turns
from the right towards the bottom of the image.
"""
from __future__ import annotations

import math

import numpy as np


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None,
                    angle: float = 0.0) -> np.ndarray:
    """A Gaussian, sampled at the pixels' centres.

    Args:
        size: Side of the kernel, odd, in px.
        sigma_x: Deviation along the first axis, > 0, in px.
        sigma_y: Deviation along the second one; ``None`` for ``sigma_x`` (isotropic).
        angle: How far the axes are turned, in radians.

    Returns:
        (size, size) float64.

    Raises:
        ValueError: ``size`` is no odd number >= 1, or a deviation is not positive.
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
    """The trace of a point that moves evenly along a straight line.

    Args:
        length: Of the line, >= 0, in px; 0 is no blur.
        angle: Of the line, in radians.

    Returns:
        (S, S) float64, S the smallest odd number with room for any direction.

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
        # each point's weight goes to its four neighbours, bilinearly
        x, y = half + step * math.cos(angle), half + step * math.sin(angle)
        left, top = min(int(x), 2 * half - 1), min(int(y), 2 * half - 1)
        across, down = x - left, y - top
        kernel[top:top + 2, left:left + 2] += np.outer(
            [1 - down, down], [1 - across, across])
    return kernel / kernel.sum()
