"""Samples the traits of people and photographs from seeded generators."""

import colorsys

import numpy as np

from fdsr.synthetic.canvas import mix, scaled
from fdsr.synthetic.traits import (
    RGB,
    Brows,
    Extras,
    Eyes,
    Face,
    Hair,
    Head,
    Mouth,
    Nose,
    Person,
    Photo,
    Skin,
)

SKINS = ((240, 209, 192), (237, 200, 177), (233, 191, 163), (229, 181, 148),
         (217, 165, 128), (200, 146, 108), (178, 122, 86), (152, 100, 68),
         (122, 78, 53), (94, 60, 43), (72, 47, 36))
HAIRS = {'black': (30, 26, 28), 'dark brown': (58, 40, 30), 'brown': (96, 64, 42),
         'chestnut': (120, 68, 40), 'red': (164, 82, 38), 'dark blond': (158, 120, 74),
         'blond': (212, 176, 112), 'platinum': (234, 218, 186), 'grey': (150, 148, 148),
         'white': (222, 220, 218)}
IRISES = {'dark brown': ((52, 30, 20), (84, 50, 30)),
          'brown': ((86, 50, 26), (138, 88, 46)),
          'amber': ((130, 80, 30), (190, 130, 56)),
          'hazel': ((92, 84, 44), (160, 116, 58)),
          'green': ((62, 104, 70), (148, 158, 88)),
          'grey': ((92, 108, 118), (160, 172, 176)),
          'blue': ((58, 98, 148), (136, 176, 208)),
          'light blue': ((96, 142, 184), (176, 206, 224))}
LONG_STYLES = ('long', 'wavy', 'bob', 'fringe', 'curly', 'tied', 'scarf', 'pixie')
SHORT_STYLES = ('short', 'side', 'quiff', 'buzz', 'bald', 'curly', 'cap', 'wavy')
BACKGROUNDS = ('plain', 'bokeh', 'leaves', 'stripes', 'bricks', 'shelf', 'window')
COLLARS = ('crew', 'shirt', 'vneck', 'stripes')


def sample_face(seed: int, identity: int, photo: int = 0) -> Face:
    """Samples the face of one image.

    Args:
        seed: seed of the population.
        identity: number of the person.
        photo: number of the person's image.
    """
    person = sample_person(np.random.default_rng([seed, identity, 0]))
    key = (seed, identity, photo + 1)
    return Face(person, sample_photo(np.random.default_rng([*key, 0])), key)


def sample_person(rng: np.random.Generator) -> Person:
    """Samples the traits of one identity; hair, skin and age are correlated."""
    rugged = float(rng.random() < 0.5)
    age = rng.random() ** 1.6
    depth = rng.uniform(0, len(SKINS) - 1)
    skin = _skin(rng, depth, age)
    hair_colour = _hair_colour(rng, depth, age)
    style = str(rng.choice(SHORT_STYLES if rugged else LONG_STYLES))
    return Person(head=_head(rng, rugged), skin=skin,
                  eyes=_eyes(rng, rugged, depth, skin),
                  brows=_brows(rng, rugged, hair_colour), nose=_nose(rng, rugged),
                  mouth=_mouth(rng, rugged, skin),
                  hair=Hair(style=style, colour=hair_colour,
                            gloss=rng.uniform(0.25, 0.8), volume=rng.uniform(0.08, 0.3),
                            hairline=rng.uniform(-1.16, -0.92) - 0.1 * rugged * age,
                            parting=rng.choice([-1, 1]) * rng.uniform(0.05, 0.5),
                            wave=rng.uniform(0.03, 0.075),
                            cloth=_hue(rng, 0.25, 0.7, 0.35, 0.9)),
                  extras=_extras(rng, rugged))


def sample_photo(rng: np.random.Generator) -> Photo:
    """Samples pose, expression, light and background of one image."""
    yaw, pitch, roll = rng.normal(0, [0.16, 0.08, 0.05])
    side = rng.uniform(-0.75, 0.75)
    cool = rng.uniform(-0.16, 0.1)
    smile = rng.uniform(-0.2, 1)
    opening = (rng.uniform(0.02, 0.17) if rng.random() < 0.25 + 0.35 * (smile > 0.4)
               else 0)
    base = _hue(rng, 0.05, 0.55, 0.25, 0.92)
    return Photo(angles=(float(np.clip(yaw, -0.36, 0.36)),
                         float(np.clip(pitch, -0.16, 0.16)),
                         float(np.clip(roll, -0.12, 0.12))),
                 shift=tuple(rng.uniform(-0.012, 0.012, 2).tolist()),
                 zoom=rng.uniform(0.97, 1.03),
                 light=(side, rng.uniform(-0.75, -0.15), 0.9),
                 contrast=rng.uniform(0.35, 0.9), exposure=rng.uniform(0.9, 1.08),
                 warmth=(-cool, 0.0, cool),
                 gaze=tuple(np.clip(rng.normal(0, [0.02, 0.008]), -0.035,
                                    0.035).tolist()), smile=smile, opening=opening,
                 lids=rng.uniform(0.82, 1.12), brow_raise=max(0.0, rng.normal(0, 0.03)),
                 background=str(rng.choice(BACKGROUNDS)),
                 colours=(base, mix(base, _hue(rng, 0.1, 0.6, 0.2, 0.95), 0.6),
                          mix(base, _hue(rng, 0.1, 0.6, 0.2, 0.95), 0.8)),
                 clothes=_hue(rng, 0.05, 0.75, 0.12, 0.92),
                 collar=str(rng.choice(COLLARS)))


def _hue(rng: np.random.Generator, s0: float, s1: float, v0: float, v1: float) -> RGB:
    colour = colorsys.hsv_to_rgb(rng.random(), rng.uniform(s0, s1), rng.uniform(v0, v1))
    return tuple(255 * c for c in colour)


def _ramp(colours: tuple, position: float) -> RGB:
    low = min(int(position), len(colours) - 2)
    return mix(colours[low], colours[low + 1], position - low)


def _skin(rng: np.random.Generator, depth: float, age: float) -> Skin:
    red, green, blue = _ramp(SKINS, depth)
    tone = rng.normal(0, 0.018)
    return Skin(colour=(min(255, red * (1 + tone / 2)), green, blue * (1 - 1.5 * tone)),
                blush=rng.uniform(0.05, 0.28),
                freckles=int(rng.integers(40, 130)) if rng.random() < 0.2 and depth < 5
                else 0, moles=int(rng.integers(1, 4)) if rng.random() < 0.25 else 0,
                texture=rng.uniform(0.25, 0.6) + 0.5 * age, age=age)


def _hair_colour(rng: np.random.Generator, depth: float, age: float) -> RGB:
    if rng.random() < 0.06:
        return _hue(rng, 0.45, 0.75, 0.5, 0.85)
    if rng.random() < 1.4 * (age - 0.45):
        name = str(rng.choice(['grey', 'white', 'grey']))
    elif depth > 5:
        name = str(rng.choice(['black', 'black', 'dark brown', 'brown', 'chestnut']))
    else:
        name = str(rng.choice(list(HAIRS)[:8]))
    return scaled(HAIRS[name], rng.uniform(0.85, 1.12))


def _head(rng: np.random.Generator, rugged: float) -> Head:
    return Head(forehead=rng.uniform(0.98, 1.1), cheek=rng.uniform(1.04, 1.17),
                jaw=rng.uniform(0.8, 0.9) + 0.07 * rugged,
                chin=rng.uniform(0.28, 0.4) + 0.08 * rugged,
                chin_y=rng.uniform(1.6, 1.78) + 0.06 * rugged)


def _eyes(rng: np.random.Generator, rugged: float, depth: float, skin: Skin) -> Eyes:
    names = list(IRISES)
    weights = np.array([2, 2, 1, 1, 1.2, 1.2, 1.6, 1.2])
    if depth > 5:
        weights = np.array([5, 4, 1.2, 1, 0.3, 0.2, 0.1, 0.1])
    outer, inner = IRISES[str(rng.choice(names, p=weights / weights.sum()))]
    made_up = not rugged and rng.random() < 0.45
    return Eyes(width=rng.uniform(0.48, 0.59), upper=rng.uniform(0.115, 0.18),
                lower=rng.uniform(0.06, 0.1), peak=rng.uniform(0.8, 1.15),
                tilt=rng.uniform(-0.025, 0.06),
                iris=scaled(outer, rng.uniform(0.85, 1.15)),
                inner_iris=scaled(inner, rng.uniform(0.9, 1.1)),
                iris_radius=rng.uniform(0.115, 0.138),
                pupil_radius=rng.uniform(0.044, 0.06),
                lashes=int(rng.integers(10, 16) if rugged else rng.integers(15, 24)),
                lash_length=rng.uniform(0.04, 0.07) if rugged
                else rng.uniform(0.07, 0.14),
                liner=rng.uniform(0.016, 0.026) if rugged
                else rng.uniform(0.022, 0.048),
                crease=rng.uniform(0.03, 0.09) if rng.random() < 0.85 else 0.0,
                makeup=mix(skin.colour, _hue(rng, 0.4, 0.8, 0.3, 0.7), 0.55) if made_up
                else None)


def _brows(rng: np.random.Generator, rugged: float, hair: RGB) -> Brows:
    # Brows are darker than light hair and rarely dyed.
    dark = mix(hair, (60, 42, 32), 0.5 if sum(hair) > 330 else 0.25)
    return Brows(colour=dark, height=rng.uniform(0.33, 0.44) - 0.03 * rugged,
                 arch=rng.uniform(-0.02, 0.06),
                 slope=rng.uniform(-0.02, 0.08) - 0.02 * rugged,
                 thickness=rng.uniform(0.055, 0.1) + 0.03 * rugged,
                 length=rng.uniform(0.64, 0.78), hairs=int(rng.integers(40, 80)))


def _nose(rng: np.random.Generator, rugged: float) -> Nose:
    return Nose(tip_y=rng.uniform(0.58, 0.7),
                width=rng.uniform(0.21, 0.31) + 0.02 * rugged,
                tip=rng.uniform(0.1, 0.15), bridge=rng.uniform(0.09, 0.15),
                nostril=rng.uniform(0.045, 0.065), upturn=rng.uniform(-0.2, 1.0))


def _mouth(rng: np.random.Generator, rugged: float, skin: Skin) -> Mouth:
    lip = mix(scaled(skin.colour, 0.82), (186, 70, 74), rng.uniform(0.3, 0.5))
    if not rugged and rng.random() < 0.45:
        paint = [(176, 28, 48), (206, 72, 96), (150, 40, 70), (214, 110, 110)]
        lip = mix(lip, paint[rng.integers(4)], rng.uniform(0.4, 0.85))
    return Mouth(y=rng.uniform(1.03, 1.13), width=rng.uniform(0.72, 0.9),
                 upper=rng.uniform(0.06, 0.115) - 0.015 * rugged,
                 lower=rng.uniform(0.1, 0.165) - 0.02 * rugged,
                 bow=rng.uniform(0.1, 0.5), colour=lip, gloss=rng.uniform(0.05, 0.3))


def _extras(rng: np.random.Generator, rugged: float) -> Extras:
    shade = rng.random()
    frame = (24, 22, 24) if shade < 0.5 else _hue(rng, 0.3, 0.8, 0.2, 0.6)
    beards = ['stubble', 'full', 'goatee', 'moustache']
    return Extras(glasses=str(rng.choice(['round', 'square', 'cat']))
                  if rng.random() < 0.2 else None, glasses_colour=frame,
                  beard=str(rng.choice(beards)) if rugged and rng.random() < 0.55
                  else None, earrings=str(rng.choice(['stud', 'hoop', 'drop']))
                  if not rugged and rng.random() < 0.4 else None)
