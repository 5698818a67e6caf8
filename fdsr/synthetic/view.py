"""Projection from face units to the image: a small rotation of a rounded head."""

from dataclasses import dataclass

import numpy as np

# Half axes of the head's ellipsoid and the height of its centre, in face units.
HEAD_RADII = np.array([1.32, 2.05, 1.1])
HEAD_CENTRE_Y = 0.2
_SURFACE_AT_EYES = np.sqrt(1 - (HEAD_CENTRE_Y / HEAD_RADII[1]) ** 2)
# Position in the image, as shares of the side, of the point ANCHOR_Y below the eyes.
# It keeps forehead and chin inside of the image.
ANCHOR = np.array([0.5, 0.57])
ANCHOR_Y = 0.53


def head_depth(points: np.ndarray) -> np.ndarray:
    """Returns the depth of the surface of the head.

    Args:
        points: ``(..., 2)``, face units.

    Returns:
        ``(...)``, face units; 0 between the eyes, about -1 outside the silhouette.
    """
    x = points[..., 0] / HEAD_RADII[0]
    y = (points[..., 1] - HEAD_CENTRE_Y) / HEAD_RADII[1]
    surface = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    return HEAD_RADII[2] * (surface - _SURFACE_AT_EYES)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Returns the ``(3, 3)`` rotation by yaw, then pitch, then roll, in radians.

    A positive yaw turns the head towards the right of the image.
    """
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return lean @ nod @ turn


@dataclass(frozen=True)
class View:
    """Orthographic camera. It is affine, so that every point is known exactly.

    Attributes:
        linear: ``(2, 3)``, from face units to shares of the image side.
        offset: ``(2,)``, position of the origin as shares of the side.
        unit: one face unit of a frontal head as a share of the side.
    """

    linear: np.ndarray
    offset: np.ndarray
    unit: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Projects points.

        Args:
            points: ``(..., 2)`` on the surface of the head or ``(..., 3)``, face units.

        Returns:
            ``(..., 2)``, shares of the image side.
        """
        points = np.asarray(points, dtype=np.float64)
        depth = head_depth(points) if points.shape[-1] == 2 else points[..., 2]
        flat = points[..., :2] @ self.linear[:, :2].T
        return flat + depth[..., None] * self.linear[:, 2] + self.offset
