"""Normalized mean error of landmarks."""

import numpy as np

from fdsr.geometry.components import five_points_from_68


def normalized_errors(found: np.ndarray, expected: np.ndarray,
                      eye_distances: np.ndarray) -> np.ndarray:
    """Returns the mean distance of the points as a share of the eye distance.

    Args:
        found: (N, K, 2) in pixels; NaN for a face that was not found.
        expected: (N, K, 2).
        eye_distances: (N,) in pixels.

    Returns:
        (N,); NaN for a face that was not found.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != expected.shape:
        raise ValueError(f'expected landmarks of one shape, found {found.shape} and '
                         f'{expected.shape}.')
    distances = np.linalg.norm(found - expected, axis=-1)
    return distances.mean(axis=-1) / eye_distances


def eye_distances(points: np.ndarray) -> np.ndarray:
    """Returns the distances (N,) of the eye centres of (N, 5, 2) or (N, 68, 2)."""
    five = five_points(points)
    return np.linalg.norm(five[:, 1] - five[:, 0], axis=-1)


def five_points(points: np.ndarray) -> np.ndarray:
    """Returns the five landmarks (N, 5, 2) of (N, 5, 2) or (N, 68, 2)."""
    return points if points.shape[-2] == 5 else five_points_from_68(points)
