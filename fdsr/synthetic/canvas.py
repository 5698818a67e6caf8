"""Canvas for anti-aliased shapes in face units."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

from fdsr.synthetic.view import View

# OpenCV takes fixed-point coordinates with this many fractional bits.
_SHIFT = 4

Colour = Sequence[float]


def mix(first: Colour, second: Colour, share: float) -> tuple[float, ...]:
    """Blends two colours linearly; ``share`` is the weight of ``second``."""
    return tuple(a + (b - a) * share for a, b in zip(first, second))


def scaled(colour: Colour, gain: float) -> tuple[float, ...]:
    """Returns a darker (gain < 1) or lighter colour, clamped to 255."""
    return tuple(min(255.0, c * gain) for c in colour)


class Canvas:
    """Square RGB image seen through a :class:`View`.

    Points and widths are in face units, colours RGB in [0, 255].

    Args:
        view: the camera.
        side: side of the image in pixels.
    """

    def __init__(self, view: View, side: int) -> None:
        self.view = view
        self.side = side
        self.image = np.zeros((side, side, 3), np.uint8)

    def fill(self, points: np.ndarray, colour: Colour, alpha: float = 1.0) -> None:
        """Fills the closed outline ``points`` ``(n, 2 or 3)``."""
        fixed = self._fixed(points)
        with self._translucent(fixed, alpha, 1):
            cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, lines: np.ndarray, colour: Colour, width: float,
               alpha: float = 1.0, closed: bool = False) -> None:
        """Strokes one line ``(n, 2 or 3)`` or several ``(lines, n, 2 or 3)``."""
        fixed = self._fixed(lines)
        thickness = self.pixels(width)
        bundle = list(fixed) if fixed.ndim == 3 else [fixed]
        # OpenCV is slow at thick anti-aliased lines. For a bundle, the final
        # downsampling smooths enough.
        kind = cv2.LINE_8 if thickness > 1 and fixed.ndim == 3 else cv2.LINE_AA
        with self._translucent(fixed, alpha, thickness + 1):
            cv2.polylines(self.image, bundle, closed, colour, thickness, kind, _SHIFT)

    def brush(self, points: np.ndarray, colour: Colour, widths: np.ndarray) -> None:
        """Fills a line ``(n, 2 or 3)`` of varying width ``(n,)``, facing the viewer."""
        ahead = np.gradient(points[:, :2], axis=0)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
        across = np.zeros_like(points)
        across[:, :2] = ahead[:, ::-1] * (1, -1) * np.asarray(widths)[:, None] / 2
        self.fill(np.concatenate([points + across, (points - across)[::-1]]), colour)

    def dots(self, centres: np.ndarray, radius: float, colour: Colour) -> None:
        """Fills small discs at ``centres`` ``(n, 2)``."""
        size = max(1, round(radius * self.view.unit * self.side * 2**_SHIFT))
        for centre in self._fixed(centres).tolist():
            cv2.circle(self.image, centre, size, colour, -1, cv2.LINE_AA, _SHIFT)

    @contextmanager
    def inside(self, outline: np.ndarray) -> Iterator[None]:
        """Clips everything painted in the block to ``outline`` ``(n, 2 or 3)``."""
        fixed = self._fixed(outline)
        rows, columns = self._window(fixed, 1)
        before = self.image.copy()
        yield
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
        share = mask[rows, columns, None].astype(np.float32) / 255
        old = before[rows, columns].astype(np.float32)
        new = self.image[rows, columns].astype(np.float32)
        before[rows, columns] = np.rint(old + (new - old) * share)
        self.image = before

    def pixels(self, width: float) -> int:
        """Converts a width in face units to whole pixels, at least 1."""
        return max(1, round(width * self.view.unit * self.side))

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        # Pixel i covers [i, i + 1) of the side; OpenCV puts 0 at a pixel's centre.
        pixels = self.view(points) * self.side - 0.5
        return np.rint(pixels * 2**_SHIFT).astype(np.int32)

    @contextmanager
    def _translucent(self, fixed: np.ndarray, alpha: float,
                     margin: int) -> Iterator[None]:
        if alpha >= 1:
            yield
            return
        rows, columns = self._window(fixed, margin)
        before = self.image[rows, columns].copy()
        yield
        if before.size:
            patch = self.image[rows, columns]
            patch[...] = cv2.addWeighted(patch, alpha, before, 1 - alpha, 0)

    def _window(self, fixed: np.ndarray, margin: int) -> tuple[slice, slice]:
        flat = fixed.reshape(-1, 2)
        low = (flat.min(0) >> _SHIFT) - margin
        high = (flat.max(0) >> _SHIFT) + margin + 2
        (x0, y0), (x1, y1) = np.clip([low, high], 0, self.side)
        return slice(y0, y1), slice(x0, x1)
