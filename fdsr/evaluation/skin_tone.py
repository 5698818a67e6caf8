"""Skin tone of a face, for evaluations by group."""

import math

import cv2
import numpy as np

from fdsr.geometry.components import boxes_from_five_points

#: Groups by individual typology angle in degrees, from the lightest: name, lower bound.
#: The bounds are those of Del Bino and Bernerd (2013); their six groups are merged into
#: four, because few test faces are dark.
SKIN_TONES: tuple[tuple[str, float], ...] = (
    ('light skin', 41), ('intermediate skin', 28), ('tan skin', 10),
    ('brown or dark skin', -math.inf))


def typology_angle(face: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the individual typology angle (ITA) of the cheeks in degrees.

    arctan((L* − 50) / b*) of the median colour (Chardon et al., 1991): large for light,
    negative for dark skin. It is a property of the image: it depends on light, exposure
    and white balance, not only on the person.

    Args:
        face: (H, W, 3) uint8 RGB (sRGB).
        landmarks: (5, 2) in pixels: image-left eye, image-right eye, nose tip,
            image-left and image-right mouth corner, each x, y.

    Raises:
        ValueError: the cheeks lie outside the image.
    """
    height, width = face.shape[:2]
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    left_eye, right_eye, nose, mouth = boxes_from_five_points(landmarks, height)
    top, bottom = max(left_eye[3], right_eye[3]), mouth[1]
    if bottom - top < 2:  # strongly tilted: the height of the nose
        top, bottom = nose[1], nose[3]
    cheeks = []
    for left, right in ((left_eye[0], nose[0]), (nose[2], right_eye[2])):
        x1, x2 = (int(np.clip(value, 0, width)) for value in (left, right))
        y1, y2 = (int(np.clip(value, 0, height)) for value in (top, bottom))
        cheeks.append(lab[y1:y2, x1:x2].reshape(-1, 3))
    pixels = np.concatenate(cheeks)
    if not len(pixels):
        raise ValueError('typology_angle: the cheeks lie outside the image.')
    lightness, _, yellow = np.median(pixels, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-3))))


def skin_tone(angle: float) -> str:
    """Returns the name of an angle's group, see ``SKIN_TONES``."""
    return next(name for name, low in SKIN_TONES if angle > low)
