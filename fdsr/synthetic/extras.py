"""Renders beards, glasses and clothes."""

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import along, at_depth, mirrored, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.mouth import lips, mouth_corners
from fdsr.synthetic.traits import Face

STREAM = 60


def render_beard(canvas: Canvas, face: Face) -> None:
    """Renders the beard, below the mouth."""
    kind = face.person.extras.beard
    if kind is None:
        return
    if kind in ('stubble', 'full'):
        _render_jaw_beard(canvas, face, full=kind == 'full')
    if kind in ('goatee', 'full'):
        _render_chin_beard(canvas, face)
    if kind in ('goatee', 'moustache', 'full'):
        _render_moustache(canvas, face)


def _render_jaw_beard(canvas: Canvas, face: Face, full: bool) -> None:
    head, rng = face.person.head, face.rng(STREAM)
    colour = mix(face.person.hair.colour, (50, 34, 26), 0.3)
    low, corner = face.person.mouth.y, mouth_corners(face)[1, 0]
    inner = [(head.cheek - 0.12, 0.42), (corner + 0.2, low - 0.1),
             (corner * 0.7, low - 0.2), (0.0, low - 0.22)]
    outer = [(head.cheek + 0.02, 0.42), (head.jaw + 0.03, 1.14),
             (head.chin + 0.22, head.chin_y - 0.15),
             (0.0, head.chin_y + (0.1 if full else 0.0))]
    inner = smooth(mirrored(np.array(inner)), 6)
    outer = smooth(mirrored(np.array(outer)), 6)
    # Both run from the right ear around the chin to the left ear.
    canvas.fill(np.concatenate([inner, outer[::-1]]), colour, 0.72 if full else 0.2)
    count = 620 if full else 480
    t = rng.uniform(0, 1, count)
    root = along(inner, t)
    root = root + (along(outer, t) - root) * rng.uniform(-0.03, 0.97, (count, 1))
    length = 0.11 if full else 0.022
    lean = np.stack([0.25 * np.sign(root[:, 0]), np.ones(count)], axis=1)
    tip = root + lean * length + rng.normal(0, 0.3 * length, (count, 2))
    hairs = np.stack([root, tip], axis=1)
    for number, gain in enumerate((0.6, 0.9, 1.25)):
        canvas.stroke(hairs[number::3], scaled(colour, gain), 0.011,
                      0.85 if full else 0.55)


def _render_chin_beard(canvas: Canvas, face: Face) -> None:
    head, rng = face.person.head, face.rng(STREAM + 1)
    colour = mix(face.person.hair.colour, (50, 34, 26), 0.25)
    bottom = lips(face)['bottom'][:, 1].max()
    right = np.array([(0.1, bottom + 0.08), (0.26, bottom + 0.18), (0.24, head.chin_y),
                      (0.1, head.chin_y + 0.12)])
    outline = smooth(mirrored(right), 6, closed=True)
    canvas.fill(outline, scaled(colour, 0.7), 0.8)
    _bristles(canvas, rng, colour, outline, (0.0, 0.1), 160)


def _render_moustache(canvas: Canvas, face: Face) -> None:
    rng = face.rng(STREAM + 2)
    colour = mix(face.person.hair.colour, (50, 34, 26), 0.25)
    corner, top = mouth_corners(face)[1], lips(face)['top']
    tip_y = face.person.nose.tip_y + 0.2
    under = top[len(top) // 2, 1] - 0.015
    for side in (-1, 1):
        shape = np.array([(0.02, tip_y + 0.02), (corner[0] * 0.55, tip_y + 0.05),
                          (corner[0] * 1.1, corner[1] - 0.04),
                          (corner[0] * 1.02, corner[1] - 0.01),
                          (corner[0] * 0.5, under - 0.01), (0.02, under)]) * (side, 1)
        outline = smooth(shape, 6, closed=True)
        canvas.fill(outline, scaled(colour, 0.7), 0.85)
        _bristles(canvas, rng, colour, outline, (side * 0.07, 0.055), 90)


def _bristles(canvas: Canvas, rng: np.random.Generator, colour: tuple,
              outline: np.ndarray, lean: tuple[float, float], count: int) -> None:
    """Renders short parallel hairs inside an outline ``(n, 2)``."""
    ends = outline[rng.integers(0, len(outline), (count, 2))]
    share = rng.uniform(0.1, 0.9, (count, 1))
    root = ends[:, 0] * share + ends[:, 1] * (1 - share) - np.asarray(lean) / 2
    tip = root + np.asarray(lean) * rng.uniform(0.6, 1.1, (count, 1))
    hairs = np.stack([root, tip + rng.normal(0, 0.008, (count, 2))], axis=1)
    for number, gain in enumerate((0.65, 0.95, 1.3)):
        canvas.stroke(hairs[number::3], scaled(colour, gain), 0.011)


_FRAMES = {'round': ((-0.33, 0.02), (-0.23, -0.21), (0.0, -0.29), (0.23, -0.21),
                     (0.33, 0.02), (0.23, 0.25), (0.0, 0.33), (-0.23, 0.25)),
           'square': ((-0.36, 0.0), (-0.34, -0.19), (0.0, -0.22), (0.36, -0.2),
                      (0.38, 0.0), (0.32, 0.24), (0.0, 0.28), (-0.31, 0.24)),
           'cat': ((-0.34, 0.0), (-0.31, -0.17), (0.0, -0.2), (0.42, -0.32), (0.4, 0.0),
                   (0.26, 0.23), (0.0, 0.27), (-0.25, 0.21))}


def render_glasses(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders transparent glasses in front of the eyes."""
    kind, colour = face.person.extras.glasses, face.person.extras.glasses_colour
    if kind is None:
        return
    depth, cheek = 0.12, face.person.head.cheek
    width = {'round': 0.034, 'square': 0.052, 'cat': 0.046}[kind]
    for side in (-1, 1):
        rim = smooth(np.array(_FRAMES[kind]), 6, closed=True) * (side, 1)
        rim = at_depth(rim + (side * 0.52, 0.03), depth)
        canvas.fill(rim, (236, 242, 250), 0.07)
        glint = np.array([(-0.2, 0.16), (-0.05, -0.16), (0.02, -0.16), (-0.13, 0.16)])
        canvas.fill(at_depth(glint + (side * 0.5 - 0.1, 0.03), depth), (255, 255, 255),
                    0.1)
        canvas.stroke(rim, colour, width, closed=True)
        canvas.stroke(rim[:18], scaled(mix(colour, (255, 255, 255), 0.25), 1.1),
                      width * 0.3)
        arm = np.array([(side * 0.88, -0.06, depth),
                        (side * (cheek + 0.02), -0.08, -0.8)])
        canvas.stroke(arm, scaled(colour, 0.8), width)
        light.line(rim[:, :2] + (0, 0.06), 0.03, 0.025, 0.12)
    bridge = np.array([(-0.2, -0.03, depth), (0.0, -0.09, depth + 0.08),
                       (0.2, -0.03, depth)])
    canvas.stroke(smooth(bridge), colour, width)


def render_clothes(canvas: Canvas, face: Face) -> None:
    """Renders shoulders and collar."""
    photo, rng = face.photo, face.rng(STREAM + 3)
    right = np.array([(0.62, 1.98), (1.0, 2.12), (2.2, 2.4), (2.6, 3.4)])
    low = 2.5 if photo.collar == 'vneck' else 2.24
    neckline = np.array([(-0.62, 1.98), (0.0, low), (0.62, 1.98)])
    body = np.concatenate([smooth(neckline), smooth(right),
                           smooth(right)[::-1] * (-1, 1)])
    body = at_depth(body, -0.7)
    canvas.fill(body, photo.clothes)
    with canvas.inside(body):
        if photo.collar == 'stripes':
            for y in np.arange(2.0, 3.2, 0.16):
                line = np.array([(-2.6, y + 0.2), (0, y), (2.6, y + 0.2)])
                canvas.stroke(at_depth(smooth(line), -0.7),
                              mix(photo.clothes, (245, 245, 240), 0.75), 0.06)
        threads = rng.uniform((-2.2, 1.95), (2.2, 3.1), (160, 2))
        threads = np.stack([threads, threads + (0.03, 0.08)], axis=1)
        canvas.stroke(at_depth(threads, -0.7), scaled(photo.clothes, 0.78), 0.012)
    canvas.stroke(at_depth(smooth(neckline), -0.68), scaled(photo.clothes, 0.65), 0.05)
    if photo.collar == 'shirt':
        for side in (-1, 1):
            flap = np.array([(0.58, 1.8), (0.72, 1.98), (0.46, 2.5), (0.08, 2.2)]) * (
                side, 1)
            canvas.fill(at_depth(flap, -0.62), scaled(photo.clothes, 1.12))
            canvas.stroke(at_depth(flap, -0.62), scaled(photo.clothes, 0.6), 0.018,
                          closed=True)
