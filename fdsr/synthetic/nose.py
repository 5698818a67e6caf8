"""Renders the nose; its tip is a landmark."""

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import at_depth, ellipse, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.traits import Face

# Depth of the tip relative to the point between the eyes, face units.
TIP_DEPTH = 0.42


def nose_tip(face: Face) -> np.ndarray:
    """Returns the tip ``(3,)``, face units."""
    return np.array([0.0, face.person.nose.tip_y, TIP_DEPTH])


def render_nose(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders wings, nostrils and tip, and shades the bridge."""
    nose, skin = face.person.nose, face.person.skin.colour
    tip, dark = nose_tip(face), scaled(skin, 0.6)
    for side in (-1, 1):
        wing = np.array([(0.72, -0.12, 0.1), (1.0, 0.0, 0.06), (0.92, 0.12, 0.08),
                         (0.6, 0.13, 0.18)])
        wing = wing * (side * nose.width, 1, 1) + (0, nose.tip_y, 0)
        taper = 0.026 * np.sin(np.linspace(0.3, 2.8, 25)) + 0.004
        wing = smooth(wing, 8)
        canvas.brush(wing, mix(skin, dark, 0.6), taper)
        hole = ellipse((side * nose.width * 0.52, nose.tip_y + 0.115),
                       (nose.nostril * 1.15, nose.nostril
                        * (0.34 + 0.3 * max(nose.upturn, 0))), 18)
        canvas.fill(at_depth(hole, 0.2), mix(scaled(skin, 0.3), (40, 14, 12), 0.5))
        light.shadow((side * nose.width, nose.tip_y, 0.1), (0.05, 0.09), 0.14)
    base = np.array([(-0.4, 0.135), (0.0, 0.17), (0.4, 0.135)])
    base = smooth(base * (nose.width, 1) + (0, nose.tip_y), 8)
    canvas.stroke(at_depth(base, 0.3), dark, 0.012, 0.45)
    _light_nose(canvas, light, face, tip)


def _light_nose(canvas: Canvas, light: LightMap, face: Face, tip: np.ndarray) -> None:
    nose, away = face.person.nose, -np.sign(face.photo.light[0])
    strength = 0.1 + 0.12 * abs(face.photo.light[0])
    for y in np.linspace(0.0, nose.tip_y - 0.08, 5):
        depth = 0.05 + 0.3 * y / nose.tip_y
        light.shadow((away * nose.bridge * 1.4, y, depth), (0.06, 0.09), strength)
        light.blob((0.0, y, depth), (0.045, 0.09), 0.05)
    light.shadow((away * nose.tip * 1.2, nose.tip_y, 0.3), (0.06, 0.07), strength)
    light.shadow((0.0, nose.tip_y + 0.12, 0.3), (nose.width * 0.8, 0.035), 0.18)
    light.shadow((away * 0.06, nose.tip_y + 0.24), (nose.width * 0.7, 0.06), 0.12)
    light.blob(tuple(tip), (nose.tip * 0.6, nose.tip * 0.55), 0.16)
    shine = mix(face.person.skin.colour, (255, 246, 238), 0.55)
    canvas.fill(at_depth(ellipse(tip[:2], (0.034, 0.028), 16), tip[2]), shine, 0.7)
