"""Decides whether an image is an aligned face or a photograph."""

from collections.abc import Callable

import numpy as np

from fdsr.apis.networks import FaceGeometry
from fdsr.geometry.alignment import five_point_template
from fdsr.landmarks import FaceLandmarks

KINDS = ('auto', 'face', 'photo')
#: Largest side of an aligned face in sides of SR.
LARGEST_ALIGNED = 2
#: Up to this side, in sides of LR, a square image is a face without detection.
TINY = 1.5
#: Largest differences between an aligned face and the template: factor of the eye
#: distance, distance of the eyes' midpoint as a share of the side, roll in degrees.
#: 450 aligned faces of 48 to 256 px, half of them JPEG 50, reach 1.28, 0.024 and 6.5.
MOST_ZOOM, MOST_SHIFT, MOST_ROLL = 1.33, 0.04, 12
#: Up to this side, in sides of LR, a face that fills the image is an aligned face even
#: if it is not exactly in place: a photograph of this size has no room for more.
SMALL, SMALL_ZOOM, SMALL_SHIFT, SMALL_ROLL = 3, 1.6, 0.15, 20

Detect = Callable[[np.ndarray], 'FaceLandmarks | None']


def choose_kind(image: np.ndarray, geometry: FaceGeometry, detect: Detect) -> str:
    """Returns ``face`` for an aligned face and ``photo`` for a photograph.

    An image is an aligned face if it is square, its side is at most twice that of SR,
    and one of these holds:

    - its side is at most 1.5 times that of LR, where detection is unreliable;
    - the largest detected face matches the network's template: its eye distance within
      a factor of 1.33, the midpoint of its eyes within 4 % of the side, and its roll
      within 12 degrees; in an image of at most 3 times LR's side, within 1.6, 15 % and
      20 degrees;
    - no detector is available.

    Every other image is a photograph, also a small square one without a detected face.

    Args:
        image: uint8 (H, W, 3) RGB.
        geometry: the crop of a face that the network expects.
        detect: returns the landmarks of the largest face of an image, or None. Called
            only if size and shape do not decide. An ``ImportError`` means that no
            detector is available.
    """
    height, side = image.shape[:2]
    if height != side or side > LARGEST_ALIGNED * geometry.size:
        return 'photo'
    if side <= TINY * geometry.lr_size:
        return 'face'
    try:
        face = detect(image)
    except ImportError:
        return 'face'
    limits = ((SMALL_ZOOM, SMALL_SHIFT, SMALL_ROLL) if side <= SMALL * geometry.lr_size
              else (MOST_ZOOM, MOST_SHIFT, MOST_ROLL))
    if face is None or not _matches(face.points, side, geometry.eye_share, *limits):
        return 'photo'
    return 'face'


def _matches(points: np.ndarray, side: int, eye_share: float, most_zoom: float,
             most_shift: float, most_roll: float) -> bool:
    """Returns True if the eyes are near those of the network's template."""
    eyes = np.asarray(points[:2], np.float64)
    expected = five_point_template(side, eye_share)[:2]
    zoom = np.hypot(*(eyes[1] - eyes[0])) / (eye_share * side)
    shift = np.hypot(*(eyes.mean(axis=0) - expected.mean(axis=0))) / side
    roll = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    return bool(1 / most_zoom <= zoom <= most_zoom and shift <= most_shift
                and abs(roll) <= most_roll)


def check_kind(kind: str) -> str:
    """Returns a valid kind, one of ``KINDS``."""
    if kind not in KINDS:
        names = ', '.join(map(repr, KINDS))
        raise ValueError(f'Expected one of the kinds {names}, found {kind!r}.')
    return kind
