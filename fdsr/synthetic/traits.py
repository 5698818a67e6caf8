"""Traits of a synthetic face: of the person and of the photograph."""

from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Head:
    """Half widths of the outline of the head, and the chin, in face units."""

    forehead: float
    cheek: float
    jaw: float
    chin: float
    chin_y: float


@dataclass(frozen=True)
class Skin:
    """Skin: colours in 0 to 255, the rest as shares in [0, 1]."""

    colour: RGB
    blush: float
    freckles: int
    moles: int
    texture: float
    age: float


@dataclass(frozen=True)
class Eyes:
    """Eyes: lengths in face units, ``tilt`` is the rise of the outer corner."""

    width: float
    upper: float
    lower: float
    peak: float
    tilt: float
    iris: RGB
    inner_iris: RGB
    iris_radius: float
    pupil_radius: float
    lashes: int
    lash_length: float
    liner: float
    crease: float
    makeup: RGB | None


@dataclass(frozen=True)
class Brows:
    """Brows: lengths in face units, ``slope`` lifts the inner end."""

    colour: RGB
    height: float
    arch: float
    slope: float
    thickness: float
    length: float
    hairs: int


@dataclass(frozen=True)
class Nose:
    """Nose: lengths in face units, ``tip_y`` below the eyes."""

    tip_y: float
    width: float
    tip: float
    bridge: float
    nostril: float
    upturn: float


@dataclass(frozen=True)
class Mouth:
    """Mouth at rest: lengths in face units."""

    y: float
    width: float
    upper: float
    lower: float
    bow: float
    colour: RGB
    gloss: float


@dataclass(frozen=True)
class Hair:
    """Hair: ``style`` is one of :data:`fdsr.synthetic.hair.STYLES`."""

    style: str
    colour: RGB
    gloss: float
    volume: float
    hairline: float
    parting: float
    wave: float
    cloth: RGB


@dataclass(frozen=True)
class Extras:
    """Optional accessories and beard: their kind, or None."""

    glasses: str | None
    glasses_colour: RGB
    beard: str | None
    earrings: str | None


@dataclass(frozen=True)
class Person:
    """Traits shared by all images of one identity."""

    head: Head
    skin: Skin
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    hair: Hair
    extras: Extras


@dataclass(frozen=True)
class Photo:
    """Traits of one image.

    Attributes:
        angles: yaw, pitch and roll in radians.
        shift: shift of the head as shares of the side.
        zoom: factor on the eye distance.
        light: direction to the light, ``(x, y, z)``, z towards the viewer.
        contrast: contrast of the light; 0 is flat.
        exposure: brightness; 1 is normal.
        warmth: colour of the lit side relative to the shaded side, per channel.
        gaze: shift of both irises, face units.
        smile: in [-0.3, 1].
        opening: opening of the mouth, face units.
        lids: factor on the opening of the eyes.
        brow_raise: face units.
        background: kind of background.
        colours: colours of the background, ``(3, 3)``.
        clothes: colour of the clothes.
        collar: kind of clothes.
    """

    angles: tuple[float, float, float]
    shift: tuple[float, float]
    zoom: float
    light: tuple[float, float, float]
    contrast: float
    exposure: float
    warmth: RGB
    gaze: tuple[float, float]
    smile: float
    opening: float
    lids: float
    brow_raise: float
    background: str
    colours: tuple[RGB, RGB, RGB]
    clothes: RGB
    collar: str


@dataclass(frozen=True)
class Face:
    """Person in a photograph, with the seed of its strokes."""

    person: Person
    photo: Photo
    key: tuple[int, ...]

    def rng(self, stream: int) -> np.random.Generator:
        """Returns an independent generator for each region of the face."""
        return np.random.default_rng([*self.key, stream])
