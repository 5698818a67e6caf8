"""Renders the mouth; its corners are landmarks."""

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import arched, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.traits import Face

STREAM = 10


def mouth_corners(face: Face) -> np.ndarray:
    """Returns both corners ``(2, 2)``, image-left first, face units."""
    mouth, photo = face.person.mouth, face.photo
    smile = photo.smile
    half = mouth.width / 2 * (1 + 0.16 * max(smile, 0) - 0.25 * photo.opening)
    y = mouth.y - 0.09 * smile
    return np.array([(-half, y), (half, y)])


def lips(face: Face) -> dict[str, np.ndarray]:
    """Returns the four lip curves ``(n, 2)`` from corner to corner, face units."""
    mouth, photo = face.person.mouth, face.photo
    left, right_corner = mouth_corners(face)
    (half, y), middle = right_corner, mouth.y + 0.02 * photo.smile
    # A smile stretches the lips thinner.
    thin = 1 - 0.22 * max(photo.smile, 0)
    upper, lower = mouth.upper * thin, mouth.lower * thin
    gap = photo.opening
    dip = upper * mouth.bow
    inner_top = middle - gap * 0.3
    inner_low = middle + gap * 0.7
    sag = (y - middle) * 0.45

    def curve(*right: tuple[float, float]) -> np.ndarray:
        """Returns the curve of which ``right`` is the half from the middle."""
        inner = arched(np.array(right)) * (half, 1)
        return smooth(np.concatenate([[left], inner, [right_corner]]), 6)

    return {'top': curve((0.0, inner_top - upper + dip),
                         (0.2, inner_top - upper * 1.12),
                         (0.56, inner_top - upper * 0.8 + sag)),
            'inner_top': curve((0.0, inner_top + 0.012), (0.2, inner_top - 0.006),
                               (0.6, inner_top + sag)),
            'inner_low': curve((0.0, inner_low + 0.012), (0.6, inner_low + sag)),
            'bottom': curve((0.0, inner_low + lower),
                            (0.55, inner_low + lower * 0.68 + sag))}


def render_mouth(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders lips, teeth and the line between the lips."""
    mouth, photo = face.person.mouth, face.photo
    parts = lips(face)
    whole = np.concatenate([parts['top'], parts['bottom'][::-1]])
    canvas.fill(whole, mouth.colour)
    upper = np.concatenate([parts['top'], parts['inner_top'][::-1]])
    canvas.fill(upper, scaled(mouth.colour, 0.86))
    if photo.opening:
        _render_inside(canvas, face, parts)
    _render_texture(canvas, face, parts)
    line = scaled(mix(mouth.colour, (60, 16, 18), 0.6), 0.8)
    for name in ('inner_top', 'inner_low') if photo.opening else ('inner_top',):
        curve = parts[name]
        taper = np.sin(np.linspace(0.12, np.pi - 0.12, len(curve)))
        canvas.brush(curve, line, 0.026 * taper + 0.004)
    centre = parts['bottom'][len(parts['bottom']) // 2]
    light.shadow((0.0, centre[1] + 0.07), (0.24, 0.04), 0.2)
    light.shadow((0.0, parts['top'][:, 1].min() - 0.1), (0.045, 0.08), 0.1)
    for corner in mouth_corners(face):
        light.shadow(tuple(corner + (np.sign(corner[0]) * 0.05, 0.01)), (0.04, 0.04),
                     0.12)


def _render_inside(canvas: Canvas, face: Face, parts: dict[str, np.ndarray]) -> None:
    rng, photo = face.rng(STREAM), face.photo
    opening = np.concatenate([parts['inner_top'], parts['inner_low'][::-1]])
    half, middle = parts['top'][-1][0], face.person.mouth.y
    with canvas.inside(opening):
        canvas.fill(opening, (70, 18, 22))
        tongue = np.array([(-0.5, 0.75), (0.0, 0.45), (0.5, 0.75), (0.0, 1.3)])
        canvas.fill(smooth(tongue * (half, photo.opening) + (0, middle), 6,
                           closed=True), (176, 84, 84))
        white = rng.uniform(0.9, 1)
        edge = middle - photo.opening * 0.3 + min(photo.opening * 0.75, 0.095)
        width = rng.uniform(0.1, 0.125)
        for number in np.arange(-4, 4):
            x0, near = number * width, abs(number + 0.5) / 4
            drop = edge - 0.035 * near**2
            tooth = np.array([(x0, middle - 0.3), (x0 + width, middle - 0.3),
                              (x0 + width, drop - 0.012), (x0 + width * 0.5, drop),
                              (x0, drop - 0.012)])
            shade = white * (1 - 0.35 * near)
            canvas.fill(tooth, (242 * shade, 236 * shade, 224 * shade))
            canvas.stroke(tooth[[1, 2]], (168, 150, 140), 0.008, 0.6)


def _render_texture(canvas: Canvas, face: Face, parts: dict[str, np.ndarray]) -> None:
    """Renders fine vertical lines and the gloss of the lower lip."""
    rng, mouth = face.rng(STREAM + 1), face.person.mouth
    count = len(parts['bottom'])
    spots = rng.integers(count // 6, count - count // 6, 14)
    top = parts['inner_low'][spots * (len(parts['inner_low']) - 1) // (count - 1)]
    low = parts['bottom'][spots]
    lines = np.stack([top + (low - top) * s for s in (0.15, 0.5, 0.85)], axis=1)
    canvas.stroke(lines, scaled(mouth.colour, 0.78), 0.008, 0.5)
    middle, inner = (parts['bottom'][count // 2],
                     parts['inner_low'][len(parts['inner_low']) // 2])
    height = middle[1] - inner[1]
    side = np.sign(face.photo.light[0]) * 0.06
    shine = np.array([(-0.13, 0.4), (0.0, 0.5), (0.13, 0.4), (0.0, 0.32)])
    shine = shine * (1, height) + (side, inner[1])
    canvas.fill(smooth(shine, 6, closed=True), (255, 240, 236), mouth.gloss)
