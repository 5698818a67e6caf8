"""Smooth curves through control points, and bundles of hair strands along them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Catmull-Rom splines pass through their control points.
_CATMULL_ROM = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1],
                               [-1, 3, -3, 1]], dtype=np.float64)


@lru_cache(maxsize=32)
def _weights(steps: int) -> np.ndarray:
    """Returns the weights ``(steps, 4)`` of four neighbours for one segment."""
    t = np.arange(steps) / steps
    return np.stack([t**0, t, t**2, t**3], axis=1) @ _CATMULL_ROM


def smooth(points: np.ndarray, steps: int = 8, closed: bool = False) -> np.ndarray:
    """Returns a smooth curve through ``points``.

    Args:
        points: ``(..., n, d)``, n >= 2.
        steps: points of each segment.
        closed: join the last point to the first.

    Returns:
        ``(..., m, d)``; m is ``n * steps`` when closed, else ``(n - 1) * steps + 1``.
    """
    points = np.asarray(points, dtype=np.float64)
    first, last = points[..., :1, :], points[..., -1:, :]
    if closed:
        padded = np.concatenate([last, points, first, points[..., 1:2, :]], axis=-2)
    else:
        before = 2 * first - points[..., 1:2, :]
        after = 2 * last - points[..., -2:-1, :]
        padded = np.concatenate([before, points, after], axis=-2)
    segments = padded.shape[-2] - 3
    hood = np.stack([padded[..., k : k + segments, :] for k in range(4)], axis=-2)
    curve = _weights(steps) @ hood
    curve = curve.reshape(*points.shape[:-2], segments * steps, points.shape[-1])
    return curve if closed else np.concatenate([curve, last], axis=-2)


def ellipse(centre: tuple, radii: tuple, count: int = 28) -> np.ndarray:
    """Returns points ``(count, 2)`` on an ellipse."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.asarray(centre) + np.stack([np.cos(angle), np.sin(angle)], 1) * radii


def mirrored(points: np.ndarray) -> np.ndarray:
    """Mirrors the right half ``(n, 2)`` of an outline, top to bottom; ``(2n, 2)``."""
    points = np.asarray(points, dtype=np.float64)
    return np.concatenate([points, points[::-1] * (-1, 1)])


def arched(right: np.ndarray) -> np.ndarray:
    """Mirrors the right half of an open line that starts at its top, x = 0.

    Args:
        right: ``(n, 2)``, from the top to the right end.

    Returns:
        ``(2n - 1, 2)``, from the left end over the top to the right end.
    """
    right = np.asarray(right, dtype=np.float64)
    return np.concatenate([right[:0:-1] * (-1, 1), right])


def at_depth(points: np.ndarray, depth: float) -> np.ndarray:
    """Places points ``(..., 2)`` at one depth: ``(..., 3)``."""
    return np.concatenate([points, np.full((*points.shape[:-1], 1), depth)], axis=-1)


def along(curve: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolates a polyline at the fractions ``t`` of its length in points.

    Args:
        curve: ``(..., k, 2)``.
        t: ``(n,)`` in [0, 1].

    Returns:
        ``(..., n, 2)``.
    """
    position = np.clip(t, 0, 1) * (curve.shape[-2] - 1)
    low = np.minimum(position.astype(int), curve.shape[-2] - 2)
    part = (position - low)[:, None]
    return curve[..., low, :] * (1 - part) + curve[..., low + 1, :] * part


@dataclass(frozen=True)
class Lock:
    """Lock of hair, defined by cross-sections from the roots to the tips.

    Attributes:
        rails: ``(r, k, 2)``: r cross-sections of k points each, face units.
        strands: number of strands.
        wave: amplitude of the strands' waves, face units.
        waves: waves per strand.
        ragged: variation of the strands' lengths, as a share of the length.
        drift: sideways deviation of strands, as a share of the lock's width.
    """

    rails: np.ndarray
    strands: int
    wave: float = 0.0
    waves: float = 2.0
    ragged: float = 0.06
    drift: float = 0.03

    def lines(self, rng: np.random.Generator, steps: int = 5) -> np.ndarray:
        """Samples strands ``(strands, m, 2)``, root first."""
        t = rng.uniform(0, 1, self.strands)
        drift = rng.normal(0, self.drift, (len(self.rails), self.strands))
        knots = [along(rail, t + d) for rail, d in zip(self.rails, drift)]
        lines = smooth(np.stack(knots, axis=1), steps)
        if self.wave:
            lines = self._waved(lines, t * 9 + rng.normal(0, 0.5, self.strands))
        if self.ragged:
            length = 1 - self.ragged * rng.uniform(-0.5, 1, self.strands)
            root = lines[:, :1]
            reach = np.linspace(0, 1, lines.shape[1])[:, None] ** 2
            lines = lines + (length[:, None, None] - 1) * (lines - root) * reach
        return lines

    def outline(self, steps: int = 5) -> np.ndarray:
        """Returns the closed outline ``(m, 2)``, slightly inside of the tips."""
        edges = smooth(self.rails[:, [0, -1]].transpose(1, 0, 2), steps)
        if self.wave:
            edges = self._waved(edges, np.array([0.0, 9.0]))
        root, tip = self.rails[0], self.rails[-1]
        return np.concatenate([edges[0], tip, edges[1][::-1], root[::-1]])

    def _waved(self, lines: np.ndarray, phase: np.ndarray) -> np.ndarray:
        along_line = np.gradient(lines, axis=1)
        length = np.linalg.norm(along_line, axis=2, keepdims=True) + 1e-9
        across = (along_line / length)[..., ::-1] * (1, -1)
        reach = np.linspace(0, 1, lines.shape[1])
        swing = np.sin(2 * np.pi * self.waves * reach + phase[:, None])
        amount = self.wave * np.minimum(1, 3 * reach) * swing
        return lines + across * amount[..., None]
