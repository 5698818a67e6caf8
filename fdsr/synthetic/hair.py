"""Renders hair and headwear, behind and in front of the head."""

from collections.abc import Callable

import numpy as np

from fdsr.synthetic.canvas import Canvas, mix, scaled
from fdsr.synthetic.curves import Lock, along, arched, smooth
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.traits import RGB, Face, Hair

STREAM = 40
# Gains of the strands' colour: roots are shaded, single hairs are lit.
_SHADES = (0.62, 0.82, 1.0, 1.18)
_STRAND = 0.009


# Cross-sections of the hair behind neck and ears.
_BEHIND_BOB = [[(-0.8, -1.35), (0.8, -1.35)], [(-1.3, 0.3), (1.3, 0.3)],
               [(-1.15, 1.35), (1.15, 1.35)]]
_BEHIND_LONG = [[(-0.8, -1.35), (0.8, -1.35)], [(-1.25, 0.2), (1.25, 0.2)],
                [(-1.4, 1.4), (1.4, 1.4)], [(-1.5, 2.8), (1.5, 2.8)]]
_TAIL = [[(0.5, 0.6), (1.15, 0.6)], [(0.85, 1.3), (1.42, 1.2)],
         [(0.8, 2.0), (1.5, 2.0)], [(0.9, 2.9), (1.3, 2.9)]]


def render_hair_behind(canvas: Canvas, face: Face) -> None:
    """Renders the hair behind neck and ears."""
    rng, hair = face.rng(STREAM), face.person.hair
    wider, shaded = (1 + hair.volume / 3, 1), scaled(hair.colour, 0.6)
    if hair.style in ('long', 'wavy', 'fringe'):
        lock = Lock(np.array(_BEHIND_LONG) * wider, 150, _wave(hair), 4)
        _paint(canvas, lock, shaded, 0, rng)
    elif hair.style == 'bob':
        _paint(canvas, Lock(np.array(_BEHIND_BOB) * wider, 120), shaded, 0, rng)
    elif hair.style == 'tied':
        tail = np.array(_TAIL) * (np.sign(hair.parting), 1)
        lock = Lock(tail, 90, hair.wave * 0.4, 2)
        _paint(canvas, lock, scaled(hair.colour, 0.85), 0.4, rng)
    elif hair.style == 'curly':
        angle = rng.uniform(-125, 125, 330)
        places = _skull(angle, 0) * rng.uniform(0.85, 1.0 + hair.volume, (330, 1))
        ring = _skull(np.linspace(-125, 125, 24), hair.volume * 0.9)
        canvas.fill(ring, scaled(hair.colour, 0.55))
        _curls(canvas, places, scaled(hair.colour, 0.8), rng)


def render_hair_front(canvas: Canvas, light: LightMap, face: Face) -> None:
    """Renders the hair around the face and its shadow on the forehead."""
    hair = face.person.hair
    if hair.style != 'bald':
        line = _hairline(face)[1:-1] + (0, 0.07)
        light.line(smooth(line), 0.1, 0.06, 0.22)
    STYLES[hair.style](canvas, face, face.rng(STREAM + 1))


def _skull(angle: np.ndarray, grow: float) -> np.ndarray:
    """Returns points ``(n, 2)`` on the outline of the skull; 0 degrees is the top."""
    angle = np.deg2rad(angle)
    radii = (1.15 + grow, 1.5 + grow)
    return np.stack([np.sin(angle) * radii[0], -0.3 - np.cos(angle) * radii[1]],
                    axis=-1)


def _hairline(face: Face) -> np.ndarray:
    """Returns seven points from the image-left temple to the image-right one."""
    wide, top = face.person.head.forehead, face.person.hair.hairline
    right = [(0.0, top), (0.55, top + 0.06), (0.92 * wide, -0.68), (1.04 * wide, -0.12)]
    return arched(np.array(right))


def _wave(hair: Hair) -> float:
    return hair.wave if hair.style == 'wavy' else 0.012


def _paint(canvas: Canvas, lock: Lock, colour: RGB, gloss: float,
           rng: np.random.Generator) -> None:
    """Renders a lock: a dark base, strands in several shades, and a band of gloss."""
    canvas.fill(lock.outline(), scaled(colour, 0.66))
    lines = lock.lines(rng)
    for number, gain in enumerate(_SHADES):
        some = lines[number :: len(_SHADES)]
        canvas.stroke(some, scaled(colour, gain), _STRAND)
    if gloss:
        # A ragged band of light across the strands.
        length, shiny = lines.shape[1], lines[::3]
        start = rng.integers(length // 5, length // 5 + max(2, length // 4), len(shiny))
        piece = start[:, None] + np.arange(max(3, length // 6))
        light = mix(scaled(colour, 1.22), (255, 246, 232), 0.08 + 0.16 * gloss)
        rows = np.arange(len(shiny))[:, None]
        canvas.stroke(shiny[rows, np.minimum(piece, length - 1)], light, _STRAND)


def _curls(canvas: Canvas, places: np.ndarray, colour: RGB,
           rng: np.random.Generator) -> None:
    """Renders small spirals at ``places`` ``(n, 2)``."""
    count = len(places)
    turn = np.linspace(0, 5.2, 9)
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + turn * rng.choice([-1, 1],
                                                                      (count, 1))
    radius = rng.uniform(0.05, 0.095, (count, 1)) * np.linspace(1, 0.45, 9)
    spiral = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius[..., None]
    lines = places[:, None] + spiral
    for number, gain in enumerate((0.6, 0.85, 1.05, 1.25)):
        canvas.stroke(lines[number::4], scaled(colour, gain), 0.02)


def _swept(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders short hair combed back from the hairline."""
    hair = face.person.hair
    grow = hair.volume * {'quiff': 1.5, 'tied': 0.3}.get(hair.style, 0.6)
    line = _hairline(face)
    outer = _skull(np.linspace(-92, 92, 7), grow)
    lean = (0.25 * np.sign(hair.parting), 0.0) if hair.style == 'quiff' else (0.0, 0.0)
    middle = (0.45 * line + 0.55 * outer + lean
              * np.array([[0], [0.3], [1], [1], [1], [0.3], [0]]))
    _paint(canvas, Lock(np.stack([line, middle, outer]), 300, 0.008, 1.5, drift=0.014),
           hair.colour, hair.gloss, rng)
    if hair.style != 'tied':
        _sideburns(canvas, face, rng, 0.2)


def _sideburns(canvas: Canvas, face: Face, rng: np.random.Generator,
               low: float) -> None:
    hair, wide = face.person.hair, face.person.head.forehead
    for side in (-1, 1):
        rails = np.array([[(0.95 * wide, -0.6), (1.2, -0.6)],
                          [(1.0 * wide, -0.2), (1.19, -0.2)],
                          [(1.05 * wide, low), (1.14, low)]]) * (side, 1)
        _paint(canvas, Lock(rails, 50, ragged=0.3), scaled(hair.colour, 0.85), 0, rng)


# Below the temple: (inner x, outer x, y) of each further cross-section.
_FALLS = {'side': ((1.04, 1.2, -0.15), (1.1, 1.15, 0.2)),
          'pixie': ((1.04, 1.24, 0.0), (1.1, 1.16, 0.4)),
          'long': ((1.08, 1.36, 0.4), (1.0, 1.45, 1.5), (1.02, 1.6, 2.8)),
          'bob': ((1.06, 1.4, 0.3), (0.98, 1.38, 0.95), (0.9, 1.2, 1.42))}
_FALLS['wavy'] = _FALLS['fringe'] = _FALLS['long']


def _parted(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders hair that falls from a parting to both sides."""
    hair, wide = face.person.hair, face.person.head.forehead
    part, top, grow = hair.parting, hair.hairline, hair.volume
    for side in (-1, 1):
        # The wider half covers more of the forehead.
        wider = side * part < 0
        low = top + (0.16 if wider else 0.05)
        reach = side * 0.62 * wide
        rails = [[(part, top), (part * 0.8, -1.86)],
                 [((part + reach) / 2, (top + low) / 2 - 0.04),
                  ((part + reach) / 2, -1.86 - grow)],
                 [(reach, low), (side * 0.85, -1.6 - grow)],
                 [(side * 0.96 * wide, -0.62), (side * (1.14 + grow), -0.95)]]
        for inner, outer, y in _FALLS[hair.style]:
            more = grow * (0.7 if outer > 1.2 else 0.0)
            rails.append([(side * inner, y), (side * (outer + more), y)])
        strands = 170 + 50 * len(_FALLS[hair.style])
        lock = Lock(np.array(rails), strands, _wave(hair), len(rails) - 2, 0.04)
        _paint(canvas, lock, hair.colour, hair.gloss, rng)


def _fringed(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders long sides and a fringe down to the brows."""
    _parted(canvas, face, rng)
    hair, wide = face.person.hair, face.person.head.forehead
    across = np.linspace(-1, 1, 5)
    tips = np.stack([across * 0.98 * wide, -0.5 + 0.1 * across**2], axis=1)
    bulge = np.stack([across * 0.9, -1.15 - hair.volume * (1 - across**2)], axis=1)
    roots = np.stack([across * 0.5, np.full(5, -1.8)], axis=1)
    lock = Lock(np.stack([roots, bulge, tips]), 230, 0.006, 1, 0.22)
    _paint(canvas, lock, hair.colour, hair.gloss, rng)


def _pixie(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders short hair with a fringe swept across the forehead."""
    _parted(canvas, face, rng)
    hair, wide = face.person.hair, face.person.head.forehead
    side = -np.sign(hair.parting)
    rails = np.array([[(-0.5, hair.hairline), (-0.1, -1.8)],
                      [(0.0, hair.hairline + 0.1), (0.5, -1.7)],
                      [(0.6, -0.66), (1.0, -1.2)],
                      [(0.98 * wide, -0.34), (1.16, -0.4)]]) * (side, 1)
    _paint(canvas, Lock(rails, 150, 0.01, 1, 0.15), hair.colour, hair.gloss, rng)


def _curly(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    hair = face.person.hair
    line = _hairline(face)
    outer = _skull(np.linspace(-100, 100, 7), hair.volume)
    canvas.fill(np.concatenate([line, outer[::-1]]), scaled(hair.colour, 0.55))
    t, out = rng.uniform(0, 1, 520), rng.uniform(-0.06, 1.05, (520, 1))
    inner = along(line, t)
    _curls(canvas, inner + (along(smooth(outer), t) - inner) * out, hair.colour, rng)


def _buzz(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    hair, line = face.person.hair, _hairline(face)
    outer = _skull(np.linspace(-92, 92, 13), 0.0)
    edge = smooth(line)
    canvas.fill(np.concatenate([edge, outer[::-1]]), hair.colour, 0.72)
    t, out = rng.uniform(0, 1, 420), rng.uniform(-0.05, 1, (420, 1))
    root = along(edge, t)
    root = root + (along(outer, t) - root) * out
    hairs = np.stack([root, root + rng.normal(0, 0.02, (420, 2)) + (0, -0.03)], axis=1)
    canvas.stroke(hairs[::2], scaled(hair.colour, 0.6), 0.01, 0.7)
    canvas.stroke(hairs[1::2], scaled(hair.colour, 1.25), 0.01, 0.5)


def _bald(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    if face.person.skin.age > 0.35:
        _sideburns(canvas, face, rng, 0.15)
    shine = (np.sign(face.photo.light[0]) * 0.35, -1.15)
    spot = smooth(np.array([(-0.2, 0.05), (0.0, -0.05), (0.2, 0.0), (0.0, 0.05)])
                  + shine, 6, closed=True)
    canvas.fill(spot, (255, 246, 238), 0.22)


def _scarf(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders a headscarf around the oval of the face."""
    hair, head = face.person.hair, face.person.head
    edge = [(0.0, -1.08), (0.72, -0.9), (head.cheek - 0.02, 0.0)]
    edge += [(head.jaw + 0.08, 1.05), (0.5, 1.75)]
    rim = [(0.0, -1.95), (1.1, -1.3), (1.4, 0.0), (1.45, 1.2), (1.5, 2.9)]
    inner, outer = smooth(arched(np.array(edge))), smooth(arched(np.array(rim)))
    below = np.array([(-0.5, 1.75), (-1.5, 2.9), (1.5, 2.9), (0.5, 1.75), (0, 1.95)])
    canvas.fill(below, scaled(hair.cloth, 0.72))
    canvas.fill(np.concatenate([inner, outer[::-1]]), hair.cloth)
    t = np.sort(rng.uniform(0, 1, (9, 2)), axis=1)
    for (start, stop), gain in zip(t, np.tile([0.72, 0.85, 1.15], 3)):
        share = np.linspace(start, stop, 12)
        depth = rng.uniform(0.15, 0.9)
        fold = along(inner, share) * (1 - depth) + along(outer, share) * depth
        canvas.stroke(fold, scaled(hair.cloth, gain), 0.035, 0.6)
    canvas.stroke(inner, scaled(hair.cloth, 0.6), 0.03)


def _cap(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """Renders a knitted cap with some hair below it."""
    hair = face.person.hair
    _sideburns(canvas, face, rng, rng.uniform(0.0, 0.5))
    top = _skull(np.linspace(-86, 86, 13), 0.12)
    brim = smooth(
        np.array([(-1.22, -0.5), (-0.7, -0.78), (0.0, -0.86), (0.7, -0.78),
                  (1.22, -0.5)]), 4)
    canvas.fill(np.concatenate([brim, top[::-1]]), hair.cloth)
    share = np.linspace(0, 1, 44)
    low, high = along(brim, share), along(top, share)
    middle = low + (high - low) * 0.35
    canvas.stroke(np.stack([middle, high], axis=1), scaled(hair.cloth, 0.72), 0.02)
    band = np.concatenate([brim, along(brim, share)[::-1] * 0.7
                           + along(top, share)[::-1] * 0.3])
    canvas.fill(band, scaled(hair.cloth, 1.12))
    canvas.stroke(np.stack([low, low * 0.72 + high * 0.28], axis=1),
                  scaled(hair.cloth, 0.8), 0.024)
    canvas.stroke(brim, scaled(hair.cloth, 0.55), 0.02)


STYLES: dict[str, Callable[[Canvas, Face, np.random.Generator], None]] = {
    'short': _swept, 'quiff': _swept, 'tied': _swept, 'side': _parted, 'long': _parted,
    'wavy': _parted, 'bob': _parted, 'fringe': _fringed, 'pixie': _pixie,
    'curly': _curly, 'buzz': _buzz, 'bald': _bald, 'scarf': _scarf, 'cap': _cap}
