"""Light and soft shadows: one small map that multiplies the rendered image."""

import cv2
import numpy as np

from fdsr.synthetic.traits import Photo
from fdsr.synthetic.view import HEAD_CENTRE_Y, HEAD_RADII, View, head_depth

# Soft shadows contain no detail. A small fixed size also makes them independent of the
# size of the image.
SIDE = 128
# Shadows on skin keep some red because of subsurface scattering.
SKIN_SHADOW = np.array([0.8, 1.0, 1.08], np.float32)


class LightMap:
    """Light gains ``(SIDE, SIDE, 3)`` around 1, painted in face units.

    Args:
        view: the camera.
        photo: direction and colour of the light.
    """

    def __init__(self, view: View, photo: Photo) -> None:
        self.view = view
        self._unit = view.unit * SIDE
        self._grid = np.arange(SIDE, dtype=np.float32) + 0.5
        self._light = self._head_light(photo)
        self._spots: list[tuple] = []
        self._dark = np.zeros((SIDE, SIDE), np.float32)

    def blob(self, centre: tuple, radii: tuple, gain: float | tuple) -> None:
        """Adds a Gaussian spot.

        Args:
            centre: ``(x, y)`` or ``(x, y, z)``, face units.
            radii: standard deviations along x and y, face units.
            gain: added at the centre, one value or one per channel.
        """
        depth = centre[2] if len(centre) == 3 else head_depth(np.asarray(centre))
        gain = gain if isinstance(gain, tuple) else (gain,) * 3
        self._spots.append((centre[0], centre[1], depth, *radii, *gain))

    def shadow(self, centre: tuple, radii: tuple, depth: float) -> None:
        """Adds a Gaussian spot that darkens skin by ``depth``."""
        self.blob(centre, radii, tuple(-depth * SKIN_SHADOW))

    def line(self, points: np.ndarray, width: float, blur: float, depth: float) -> None:
        """Darkens along a line ``(n, 2)``; width and blur in face units."""
        mask = np.zeros((SIDE, SIDE), np.uint8)
        thickness = max(1, round(width * self._unit))
        cv2.polylines(mask, [self._fixed(points)], False, 255, thickness, cv2.LINE_AA,
                      4)
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.3, blur * self._unit))
        self._dark += soft * np.float32(depth / 255)

    def mask(self, points: np.ndarray) -> np.ndarray:
        """Returns the coverage of a closed outline, ``(SIDE, SIDE)`` in [0, 1]."""
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def render(self) -> np.ndarray:
        """Returns the gains, float32 ``(SIDE, SIDE, 3)``."""
        light = self._light * (1 - self._dark[..., None] * SKIN_SHADOW)
        if self._spots:
            spots = np.array(self._spots)
            centres = (self.view(spots[:, :3]) * SIDE).T.astype(np.float32)
            spots = spots.astype(np.float32)
            widths = spots[:, 3:5].T * np.float32(self._unit)
            # A Gaussian is the product of one along x and one along y.
            off = (self._grid - centres[..., None]) / widths[..., None]
            across, down = np.exp(-0.5 * off * off)
            # (K, SIDE, 1) * (K, 1, 3): all channels in one matrix product.
            right = (across[:, :, None] * spots[:, None, 5:]).reshape(len(spots), -1)
            sums = (down.T @ right).reshape(SIDE, SIDE, 3)
            light *= np.maximum(1 + sums, 0.2)
        return light

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return np.rint((self.view(points) * SIDE - 0.5) * 16).astype(np.int32)

    def _head_light(self, photo: Photo) -> np.ndarray:
        """Applies Lambert's law to the ellipsoid of the head, fading out beyond it."""
        centre = self.view(np.array([0.0, HEAD_CENTRE_Y, -1.0])) * SIDE
        radii = (HEAD_RADII[:2] * 1.12 + 0.1) * self._unit
        x = ((self._grid - centre[0]) / radii[0]).astype(np.float32)[None, :]
        y = ((self._grid - centre[1]) / radii[1]).astype(np.float32)[:, None]
        # Normals never turn fully sideways at the silhouette, which avoids a hard edge.
        squeeze = 0.9 / (1 + (x * x + y * y) ** 2) ** 0.25
        x, y = x * squeeze, y * squeeze
        z = np.sqrt(1 - x * x - y * y)
        direction = np.asarray(photo.light) / np.linalg.norm(photo.light)
        lit = np.clip(x * direction[0] + y * direction[1] + z * direction[2], 0, None)
        level = 1 + photo.contrast * (lit - 0.78)
        # Unlit areas receive ambient light of another colour.
        warm = np.asarray(photo.warmth, np.float32)
        tint = 1 + warm * (lit[..., None] - 0.6)
        return (level[..., None] * tint * photo.exposure).astype(np.float32)
