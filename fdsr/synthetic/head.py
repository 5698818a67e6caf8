"""Renders neck, ears and face with their shading."""

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import at_depth, ellipse, mirrored, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.mouth import mouth_corners
from fdsr.synthetic.traits import Face, Head

STREAM = 1


def face_outline(head: Head) -> np.ndarray:
    """Returns the closed outline ``(n, 2)`` of skull, cheeks and jaw, face units."""
    right = np.array([(0.28, -1.72), (0.72, -1.5), (head.forehead, -0.85),
                      (head.cheek, -0.1), (head.cheek - 0.03, 0.48),
                      (head.jaw + 0.04, 1.08), (head.chin + 0.24, head.chin_y - 0.19),
                      (head.chin * 0.55, head.chin_y)])
    return smooth(mirrored(right), 6, closed=True)


def render_neck(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders the neck and the shadow of the chin."""
    head, skin = face.person.head, face.person.skin
    half = head.jaw * 0.86
    right = np.array([(half, 0.9), (half - 0.04, 1.7), (half + 0.12, 2.3),
                      (half + 0.9, 2.9)])
    outline = smooth(mirrored(right), 4, closed=True)
    canvas.fill(at_depth(outline, -0.75), scaled(skin.colour, 0.76))
    canvas.stroke(
        at_depth(
            smooth(np.array([(-0.34, 2.0), (-0.1, 2.42), (0.1, 2.42), (0.34, 2.0)])),
            -0.7), scaled(skin.colour, 0.68), 0.03, alpha=0.5)
    light.shadow((0.0, head.chin_y + 0.16, -0.6), (0.6, 0.2), 0.4)


def render_ears(canvas: Canvas, face: Face) -> None:
    """Renders both ears, below the face."""
    head, skin = face.person.head, face.person.skin
    for side in (-1, 1):
        shape = np.array([(head.cheek - 0.1, -0.16), (head.cheek + 0.12, -0.26),
                          (head.cheek + 0.2, 0.0), (head.cheek + 0.14, 0.36),
                          (head.cheek + 0.02, 0.6), (head.cheek - 0.12, 0.5)]) * (side,
                                                                                  1)
        canvas.fill(at_depth(smooth(shape, 6, closed=True), -0.72),
                    scaled(skin.colour, 0.9))
        fold = np.array([(0.0, -0.1), (0.11, -0.15), (0.13, 0.05), (0.05, 0.3)])
        fold = (fold + (head.cheek, 0.0)) * (side, 1)
        canvas.stroke(at_depth(smooth(fold), -0.7), scaled(skin.colour, 0.62), 0.025,
                      alpha=0.8)


def render_face(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders the skin of the face with freckles, moles, folds and large shadows."""
    person = face.person
    outline = face_outline(person.head)
    canvas.fill(outline, person.skin.colour)
    canvas.stroke(outline, scaled(person.skin.colour, 0.66), 0.012, 0.5, closed=True)
    _light_planes(light, face)
    _spots(canvas, face)
    _folds(canvas, light, face)


def skin_noise(face: Face) -> np.ndarray:
    """Returns the skin relief, float32 ``(256, 256)`` around 0, at any image size."""
    rng = face.rng(STREAM)
    fine = rng.standard_normal((256, 256), dtype=np.float32)
    coarse = rng.standard_normal((64, 64), dtype=np.float32)
    coarse = coarse.repeat(4, axis=0).repeat(4, axis=1)
    return (0.022 * fine + 0.012 * coarse) * face.person.skin.texture


def _light_planes(light: LightMap, face: Face) -> None:
    head, skin = face.person.head, face.person.skin
    for side in (-1, 1):
        light.shadow((side * 0.5, -0.12), (0.3, 0.13), 0.16)
        light.shadow((side * 0.2, -0.08), (0.08, 0.14), 0.12)
        light.shadow((side * (head.cheek - 0.2), 0.75), (0.2, 0.42), 0.13)
        light.shadow((side * (head.forehead - 0.08), -0.5), (0.14, 0.3), 0.1)
        light.blob((side * 0.58, 0.36), (0.24, 0.13), 0.07)
        red = skin.blush * np.array([0.12, -0.5, -0.42])
        light.blob((side * 0.66, 0.52), (0.26, 0.2), tuple(red))
    light.blob((0.0, -0.62), (0.5, 0.22), 0.06)
    light.blob((0.0, head.chin_y - 0.2), (0.16, 0.09), 0.06)
    light.shadow((0.0, head.chin_y - 0.36), (0.22, 0.05), 0.1)


def _spots(canvas: Canvas, face: Face) -> None:
    rng, skin = face.rng(STREAM + 1), face.person.skin
    if skin.freckles:
        centres = rng.normal((0, 0.38), (0.46, 0.2), (skin.freckles, 2))
        for share in (0.35, 0.5):
            some = centres[rng.random(skin.freckles) < 0.5]
            colour = mix(skin.colour, (120, 62, 34), share)
            canvas.dots(some, rng.uniform(0.012, 0.018), colour)
    if skin.moles:
        centres = rng.uniform((-0.8, -0.7), (0.8, 1.4), (skin.moles, 2))
        canvas.dots(centres, rng.uniform(0.016, 0.026),
                    mix(skin.colour, (50, 28, 22), 0.75))


def _folds(canvas: Canvas, light: LightMap, face: Face) -> None:
    person, photo = face.person, face.photo
    corners, depth = mouth_corners(face), 0.1 + 0.25 * person.skin.age
    fold = depth * (0.5 + max(0.0, photo.smile))
    for corner in corners:
        side = np.sign(corner[0])
        start = (side * (person.nose.width + 0.06), person.nose.tip_y + 0.02)
        middle = (side * (abs(corner[0]) + 0.05), corner[1] - 0.22)
        line = smooth(np.array([start, middle, corner + (side * 0.09, 0.0)]))
        light.line(line, 0.03, 0.05, fold)
    if person.skin.age < 0.45:
        return
    rng, colour = face.rng(STREAM + 2), scaled(person.skin.colour, 0.7)
    for height in rng.uniform(-0.9, -0.55, 3):
        wave = np.array([(-0.5, 0.02), (-0.2, -0.03), (0.0, 0.01), (0.25, -0.03),
                         (0.5, 0.03)])
        canvas.stroke(smooth(wave + (0, height)), colour, 0.014, 0.7 * person.skin.age)
    for side in (-1, 1):
        for rise in (-0.1, 0.0, 0.1):
            line = np.array([(0.8, 0.02 + rise / 2), (0.88, 0.02 + rise),
                             (0.97, rise * 1.6)])
            canvas.stroke(smooth(line * (side, 1)), colour, 0.012,
                          0.8 * person.skin.age)
        bag = np.array([(0.32, 0.17), (0.5, 0.24), (0.7, 0.17)]) * (side, 1)
        light.line(smooth(bag), 0.03, 0.02, 0.25 * person.skin.age)


def render_earrings(canvas: Canvas, face: Face) -> None:
    """Renders earrings at both lobes."""
    kind, head = face.person.extras.earrings, face.person.head
    if kind is None:
        return
    gold = (226, 186, 92)
    for side in (-1, 1):
        x, y = side * (head.cheek + 0.04), 0.66
        if kind == 'hoop':
            ring = at_depth(ellipse((x, y + 0.16), (0.12, 0.17)), -0.72)
            canvas.stroke(ring, gold, 0.03, closed=True)
        elif kind == 'drop':
            canvas.stroke(at_depth(np.array([(x, y - 0.05), (x, y + 0.22)]), -0.72),
                          gold, 0.018)
            canvas.fill(at_depth(ellipse((x, y + 0.27), (0.05, 0.08)), -0.72),
                        (240, 236, 228))
        else:
            canvas.fill(at_depth(ellipse((x, y - 0.06), (0.045, 0.045)), -0.72), gold)
            canvas.fill(at_depth(ellipse((x - 0.01, y - 0.075), (0.018, 0.018)), -0.72),
                        (255, 248, 220))
