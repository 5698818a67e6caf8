"""From face units to the picture: a small rotation of a rounded head."""

from dataclasses import dataclass

import numpy as np

# Half axes of the head's ellipsoid and the height of its centre, in face units.
HEAD_RADII = np.array([1.32, 2.05, 1.1])
HEAD_CENTRE_Y = 0.2
_SURFACE_AT_EYES = np.sqrt(1 - (HEAD_CENTRE_Y / HEAD_RADII[1]) ** 2)
# The middle between the eyes' middle and the mouth's middle is put at this share of
# the side, so that forehead and chin both stay inside.
ANCHOR = np.array([0.5, 0.57])
ANCHOR_Y = 0.53


def head_depth(points: np.ndarray) -> np.ndarray:
    """Depth of the head's surface.

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
    """Rotation matrix ``(3, 3)``: yaw, then pitch, then roll, in radians."""
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return lean @ nod @ turn


@dataclass(frozen=True)
class View:
    """An orthographic camera: affine, so that every drawn point is known exactly.

    Attributes:
        linear: ``(2, 3)``, face units to shares of the picture's side.
        offset: ``(2,)``, where the face's origin lies, as shares of the side.
        unit: one face unit as a share of the side, before the head turns.
    """

    linear: np.ndarray
    offset: np.ndarray
    unit: float

    @classmethod
    def of_pose(
        cls,
        angles: tuple[float, float, float],
        eye_share: float,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> 'View':
        """The view of a head turned by ``(yaw, pitch, roll)`` radians.

        Args:
            angles: yaw (positive: towards the picture's right), pitch, roll.
            eye_share: distance of the pupils of a frontal head, as a share of the
                picture's side.
            shift: of the head, as shares of the side.
        """
        linear = eye_share * rotation(*angles)[:2]
        offset = ANCHOR + np.asarray(shift) - linear @ np.array([0.0, ANCHOR_Y, 0.0])
        return cls(linear, offset, eye_share)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Project points.

        Args:
            points: ``(..., 2)`` on the head's surface or ``(..., 3)``, face units.

        Returns:
            ``(..., 2)``, shares of the picture's side.
        """
        points = np.asarray(points, dtype=np.float64)
        depth = head_depth(points) if points.shape[-1] == 2 else points[..., 2]
        flat = points[..., :2] @ self.linear[:, :2].T
        return flat + depth[..., None] * self.linear[:, 2] + self.offset
