"""Renders eyes and brows; the centres of the pupils are landmarks."""

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import along, at_depth, ellipse, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.traits import Face
from fdsr.synthetic.view import head_depth

STREAM = 20
SIDES = (-1, 1)


def pupil(face: Face, side: int) -> np.ndarray:
    """Returns the centre ``(3,)`` of a pupil, face units; side -1 is image-left."""
    x, y = face.photo.gaze
    return np.array([side * 0.5 + x, y, head_depth(np.array([side * 0.5, 0.0])) + 0.02])


def lids(face: Face, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the upper and lower lid ``(n, 2)``, inner corner first."""
    eyes, photo = face.person.eyes, face.photo
    t = np.linspace(0, 1, 25)
    x = 0.5 - 0.48 * eyes.width + t * eyes.width
    base = eyes.tilt * (0.5 - t) + 0.012
    squint = photo.lids * (1 - 0.14 * max(photo.smile, 0))
    upper = base - eyes.upper * squint * np.sin(np.pi * t**eyes.peak) ** 0.8
    lower = base + eyes.lower * (1 - 0.2 * max(photo.smile, 0)) * (
        np.sin(np.pi * t ** (1.3 / eyes.peak)) ** 0.9)
    x = side * x
    return np.stack([x, upper], 1), np.stack([x, lower], 1)


def render_eyes(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders both eyes."""
    for side in SIDES:
        upper, lower = lids(face, side)
        _render_lid_skin(canvas, light, face, upper)
        outline = np.concatenate([upper, lower[::-1]])
        with canvas.inside(outline):
            _render_ball(canvas, face, side, upper, lower)
        _render_lines(canvas, face, side, upper, lower)
        _render_lashes(canvas, face, side, upper, lower)
        light.line(lower + (0, 0.1), 0.03, 0.03, 0.1)


def _render_lid_skin(canvas: Canvas, light: LightMap, face: Face,
                     upper: np.ndarray) -> None:
    eyes, skin = face.person.eyes, face.person.skin.colour
    crease = (
        upper - (0, eyes.crease) * np.sin(np.linspace(0.5, 2.9, len(upper)))[:, None]
    )
    if eyes.makeup is not None:
        lid = np.concatenate([upper, (crease - (0, 0.05))[::-1]])
        canvas.fill(lid, eyes.makeup, 0.55)
    if eyes.crease:
        taper = np.sin(np.linspace(0.2, np.pi - 0.1, len(crease)))
        canvas.brush(crease, scaled(skin, 0.6), 0.022 * taper + 0.003)
        light.line(crease, 0.04, 0.03, 0.12)


def _render_ball(canvas: Canvas, face: Face, side: int, upper: np.ndarray,
                 lower: np.ndarray) -> None:
    """Renders sclera, iris with rings and fibres, pupil and reflections."""
    rng, eyes = face.rng(STREAM + (side + 1) // 2), face.person.eyes
    white = np.concatenate([upper, lower[::-1]])
    canvas.fill(white, (236, 230, 226))
    inner = upper[0]
    canvas.fill(ellipse(inner + (side * 0.01, 0.005), (0.035, 0.035), 14),
                (206, 138, 130), 0.8)
    veins = rng.uniform(-0.05, 0.05, (4, 3, 2)) * (0.6, 0.5)
    veins += upper[-1] + np.array([(0.0, 0.0), (-0.05, 0.0), (-0.1, 0.0)]) * (side, 1)
    canvas.stroke(veins, (214, 168, 160), 0.006, 0.35)
    centre, radius = pupil(face, side), eyes.iris_radius
    canvas.fill(_ring(centre, radius), scaled(eyes.iris, 0.42))
    canvas.fill(_ring(centre, radius * 0.88), eyes.iris)
    canvas.fill(_ring(centre, radius * 0.7), mix(eyes.iris, eyes.inner_iris, 0.55))
    _render_fibres(canvas, face, side, centre)
    canvas.fill(_ring(centre, eyes.pupil_radius), (8, 6, 8))
    shade = np.concatenate([upper - (0, 0.05), (upper + (0, 0.05))[::-1]])
    canvas.fill(shade, (46, 30, 34), 0.38)
    _render_reflections(canvas, face, centre)


def _render_fibres(canvas: Canvas, face: Face, side: int, centre: np.ndarray) -> None:
    rng, eyes = face.rng(STREAM + 2 + (side + 1) // 2), face.person.eyes
    count = 36
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.07,
                                                                          count)
    ray = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    start = eyes.pupil_radius * 1.05
    reach = eyes.iris_radius * rng.uniform(0.62, 0.92, count)
    fibres = np.stack([centre + ray * start, centre + ray * reach[:, None]], axis=1)
    canvas.stroke(fibres[::2], scaled(eyes.inner_iris, 1.12), 0.008)
    canvas.stroke(fibres[1::4], scaled(eyes.iris, 0.62), 0.008)


def _render_reflections(canvas: Canvas, face: Face, centre: np.ndarray) -> None:
    eyes, direction = face.person.eyes, face.photo.light
    main = centre + np.array([0.055 * np.sign(direction[0]), -0.045, 0.0])
    canvas.fill(_ring(main, 0.026), (255, 255, 255), 0.95)
    bounce = (centre - np.array([0.5 * np.sign(direction[0]), -0.62, 0.0])
              * eyes.iris_radius)
    canvas.fill(_ring(bounce, 0.03), (255, 255, 255), 0.22)


def _render_lines(canvas: Canvas, face: Face, side: int, upper: np.ndarray,
                  lower: np.ndarray) -> None:
    eyes, skin = face.person.eyes, face.person.skin.colour
    dark = mix(scaled(face.person.brows.colour, 0.5), (22, 14, 14), 0.6)
    taper = np.linspace(0.35, 1.0, len(upper)) * np.sin(
        np.linspace(0.25, 2.75, len(upper)))
    wing = upper[-1:] + np.array([(side * 0.03, -0.01)])
    line = np.concatenate([upper, wing])
    canvas.brush(line, dark, np.append(eyes.liner * (0.35 + taper), 0.004))
    rim = mix(scaled(skin, 0.72), (196, 120, 112), 0.35)
    canvas.brush(lower, rim, 0.016 * np.sin(np.linspace(0.2, 2.9, len(lower))) + 0.004)
    if face.person.eyes.makeup is not None:
        canvas.stroke(lower[12:], dark, 0.012, 0.6)


def _render_lashes(canvas: Canvas, face: Face, side: int, upper: np.ndarray,
                   lower: np.ndarray) -> None:
    rng, eyes = face.rng(STREAM + 4 + (side + 1) // 2), face.person.eyes
    dark = mix(scaled(face.person.brows.colour, 0.45), (16, 10, 10), 0.6)
    for lid, up, length, width in ((upper, -1, eyes.lash_length, 0.012),
                                   (lower, 1, eyes.lash_length * 0.45, 0.007)):
        t = np.linspace(0.1, 1.0, eyes.lashes) + rng.normal(0, 0.012, eyes.lashes)
        root = along(lid, t)
        # Lashes fan out: inwards at the inner corner, outwards at the outer one.
        lean = side * (t - 0.32) * 1.5
        size = length * (0.5 + 0.6 * t) * rng.uniform(0.75, 1.1, eyes.lashes)
        out = np.stack([lean, np.full_like(lean, up)], axis=1)
        out *= (size / np.linalg.norm(out, axis=1))[:, None]
        curl = np.stack([0.35 * lean * size, 0.0 * lean], axis=1)
        lashes = np.stack([root, root + out * 0.5 - curl * 0.3, root + out + curl],
                          axis=1)
        canvas.stroke(smooth(lashes, 3), dark, width, 1.0 if up < 0 else 0.4)


def render_brows(canvas: Canvas, face: Face) -> None:
    """Renders both brows: a soft band and single hairs."""
    brows, photo = face.person.brows, face.photo
    for side in SIDES:
        rng = face.rng(STREAM + 6 + (side + 1) // 2)
        y = -brows.height - photo.brow_raise
        # From the inner end to the tail; the inner third carries the slope.
        x = 0.5 + brows.length * np.array([-0.5, -0.14, 0.2, 0.5])
        rise = np.array([0.03, -0.03, -0.05, 0.06])
        rise -= brows.slope * np.array([1, 0.5, 0, 0])
        rise -= brows.arch * np.array([0, 0.5, 1, 0])
        spine = smooth(np.stack([side * x, y + rise], axis=1), 8)
        _render_brow(canvas, face, spine, side, rng)


def _render_brow(canvas: Canvas, face: Face, spine: np.ndarray, side: int,
                 rng: np.random.Generator) -> None:
    brows = face.person.brows

    def width(share: np.ndarray) -> np.ndarray:
        shape = np.interp(share, [0, 0.06, 0.2, 0.6, 1], [0.15, 0.7, 1.0, 0.8, 0.12])
        return brows.thickness * shape

    band = width(np.linspace(0, 1, len(spine)))
    canvas.brush(spine, mix(face.person.skin.colour, brows.colour, 0.55), 0.85 * band)
    t = rng.uniform(0, 1, brows.hairs)
    across = rng.uniform(-0.5, 0.5, brows.hairs)
    root = along(spine, t) + np.stack([0 * t, across * width(t)], axis=1)
    # Hairs stand up at the inner end and lie down along the tail.
    ahead = side * np.interp(t, [0, 0.3, 1], [0.02, 0.07, 0.09])
    rise = np.interp(t, [0, 0.3, 1], [-0.06, -0.035, 0.025]) - across * 0.05
    reach = np.stack([ahead, rise * (0.7 + 4 * brows.thickness)], axis=1)
    tip = root + reach * rng.uniform(0.6, 1.1, (brows.hairs, 1))
    hairs, half = np.stack([root, tip], axis=1), brows.hairs // 2
    canvas.stroke(hairs[:half], brows.colour, 0.011)
    canvas.stroke(hairs[half:], scaled(brows.colour, 0.75), 0.009)


def _ring(centre: np.ndarray, radius: float) -> np.ndarray:
    """Returns a circle ``(n, 3)`` at one depth, so that its centre projects exactly."""
    return at_depth(ellipse(centre[:2], (radius, radius)), centre[2])
