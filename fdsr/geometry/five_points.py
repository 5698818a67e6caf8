"""Validation of five landmarks: their order and the rotation of the face."""
from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np

#: Mean of 60 portraits in MediaPipe's Face Mesh: x to the image's right, y down, z away
#: from the camera, in units of the eye distance. Eyes, nose tip, mouth corners; the
#: image's left comes first.
_FACE_3D = np.array([[-0.49, -0.53, 0.08], [0.49, -0.53, 0.08], [0, 0.12, -0.47],
                     [-0.455, 0.47, 0.155], [0.455, 0.47, 0.155]])
#: Poses of the comparison in degrees.
_YAWS, _PITCHES = range(-60, 61, 15), range(-30, 31, 15)
#: Residuals: a correct order has at most 0.045 on 4,158 portraits and 0.06 at a yaw of
#: 60 degrees. Another order of the same points has more than twice as much.
_SURE, _MOST, _RATIO = 0.02, 0.25, 2
#: Maximum rotation of a face in the image plane in degrees.
MOST_ROLL = 60


def problem_of(landmarks: np.ndarray, most_roll: float = MOST_ROLL) -> str:
    """Describes why five points are not landmarks of a face in the expected order.

    The points are compared, up to a similarity, with projections of a mean face with
    yaws up to 60° and pitches up to 30°. The residual of the best projection is the
    share of the points' variance that it does not explain. It must be small, or no
    other order of the points may fit much better.

    Args:
        landmarks: (5, 2), finite: image-left eye, image-right eye, nose tip, image-left
            and image-right mouth corner, each x, y.
        most_roll: maximum rotation in the image plane in degrees; 180 accepts all.

    Returns:
        The problem, or an empty string.
    """
    points = np.asarray(landmarks, np.float64) @ (1, 1j)
    points = points - points.mean()
    spread = np.linalg.norm(points)
    if spread < 1e-6:
        return 'all landmarks are one point'
    points = points / spread
    # Upright first: other orders of an upright face may fit a rotated one as well.
    if _in_order(points, _fit(points, MOST_ROLL)[0], MOST_ROLL):
        return ''
    residual, roll = _fit(points)
    if abs(roll) > most_roll and _in_order(points, residual, 180):
        return (f'its landmarks are rotated by {abs(roll):.0f} degrees: rotate the '
                'image upright and detect them again')
    if not _in_order(points, _fit(points, most_roll)[0], most_roll):
        return ('its landmarks do not have the positions of two eyes, the nose and two '
                'mouth corners in this order, the image\'s left first: correct the '
                'order of the columns, or detect them again')
    return ''


def _in_order(points: np.ndarray, residual: float, most_roll: float) -> bool:
    """Returns True if no other order fits much better."""
    if residual <= _SURE:
        return True
    orders = points[np.array(list(permutations(range(5))))[1:]]
    return residual <= min(_MOST, _RATIO * _fit(orders, most_roll)[0].min())


def _fit(points: np.ndarray, most_roll: float = 180) -> tuple[np.ndarray, np.ndarray]:
    """Fits the projections of the mean face.

    Args:
        points: complex (..., 5) of mean 0 and norm 1.
        most_roll: maximum rotation in degrees.

    Returns:
        The smallest residual, 0 to 1, and its rotation in degrees, each (...).
    """
    factors = points @ _projections()
    cosines = abs(factors)
    if most_roll < 180:
        cosines = cosines * (factors.real >= np.cos(np.radians(most_roll)) * cosines)
    best = cosines.argmax(axis=-1)[..., None]
    cosine, factor = (np.take_along_axis(values, best, -1)[..., 0]
                      for values in (cosines, factors))
    return 1 - cosine ** 2, np.degrees(np.angle(factor))


@lru_cache(maxsize=1)
def _projections() -> np.ndarray:
    """Returns projections of the mean face, conjugated (5, P), mean 0 and norm 1."""
    found = []
    for yaw in np.radians(_YAWS):
        for pitch in np.radians(_PITCHES):
            x, y, z = _FACE_3D.T
            depth = y * np.sin(pitch) + z * np.cos(pitch)
            found.append(x * np.cos(yaw) + depth * np.sin(yaw)
                         + 1j * (y * np.cos(pitch) - z * np.sin(pitch)))
    shapes = np.array(found)
    shapes -= shapes.mean(axis=1, keepdims=True)
    return (shapes / np.linalg.norm(shapes, axis=1, keepdims=True)).conj().T
