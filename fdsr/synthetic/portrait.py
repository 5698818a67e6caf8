"""Renders a synthetic face: the image and its exact landmarks."""

import cv2
import numpy as np

from fdsr.synthetic.background import background
from fdsr.synthetic.canvas import Canvas
from fdsr.synthetic.extras import render_beard, render_clothes, render_glasses
from fdsr.synthetic.eyes import pupil, render_brows, render_eyes
from fdsr.synthetic.hair import render_hair_behind, render_hair_front
from fdsr.synthetic.head import (
    face_outline,
    render_earrings,
    render_ears,
    render_face,
    render_neck,
    skin_noise,
)
from fdsr.synthetic.lighting import LightMap
from fdsr.synthetic.mouth import mouth_corners, render_mouth
from fdsr.synthetic.nose import nose_tip, render_nose
from fdsr.synthetic.traits import Face
from fdsr.synthetic.view import ANCHOR, ANCHOR_Y, View, rotation

# Shapes are painted at least this many times larger and then downsampled.
_SUPERSAMPLE = 2
# Below this side of the canvas the finest strokes would be too thick.
_SMALLEST_CANVAS = 256


def face_view(face: Face, eye_share: float) -> View:
    """Returns the camera for an eye distance of ``eye_share`` of the side."""
    unit, shift = eye_share * face.photo.zoom, np.asarray(face.photo.shift)
    linear = unit * rotation(*face.photo.angles)[:2]
    offset = ANCHOR + shift - linear @ np.array([0.0, ANCHOR_Y, 0.0])
    return View(linear, offset, unit)


def face_landmarks(face: Face, view: View, size: int) -> np.ndarray:
    """Returns the five landmarks, float32 ``(5, 2)`` in pixels, x then y.

    The order is pupils, nose tip, mouth corners, image-left first. (0, 0) is the centre
    of the top left pixel.
    """
    depths = [pupil(face, -1), pupil(face, 1), nose_tip(face)]
    points = [view(point) for point in depths] + list(view(mouth_corners(face)))
    return (np.stack(points) * size - 0.5).astype(np.float32)


def render_portrait(face: Face, size: int, eye_share: float) -> tuple[np.ndarray,
                                                                      np.ndarray]:
    """Renders a face.

    Args:
        face: traits of the person and the photograph.
        size: side of the image in pixels.
        eye_share: eye distance of a frontal head as a share of the side.

    Returns:
        The image, uint8 ``(size, size, 3)`` RGB, and its landmarks, see
        :func:`face_landmarks`.
    """
    view = face_view(face, eye_share)
    factor = max(_SUPERSAMPLE, -(-_SMALLEST_CANVAS // size))
    canvas = Canvas(view, size * factor)
    light = LightMap(view, face.photo)
    canvas.image = background(face, canvas.side)
    _paint(canvas, light, face)
    image = cv2.resize(canvas.image, (size, size), interpolation=cv2.INTER_AREA)
    return _lit(image, light, face), face_landmarks(face, view, size)


def _paint(canvas: Canvas, light: LightMap, face: Face) -> None:
    render_hair_behind(canvas, face)
    render_neck(canvas, light, face)
    render_clothes(canvas, face)
    render_ears(canvas, face)
    render_earrings(canvas, face)
    render_face(canvas, light, face)
    render_beard(canvas, face)
    render_mouth(canvas, light, face)
    render_eyes(canvas, light, face)
    render_nose(canvas, light, face)
    render_brows(canvas, face)
    render_glasses(canvas, light, face)
    render_hair_front(canvas, light, face)


def _lit(image: np.ndarray, light: LightMap, face: Face) -> np.ndarray:
    """Multiplies an image, uint8 ``(S, S, 3)``, by light and skin relief."""
    gains = _resized(light.render(), len(image))
    skin = _resized(light.mask(face_outline(face.person.head)), len(image))
    gains *= (1 + _resized(skin_noise(face), len(image)) * skin)[..., None]
    return cv2.multiply(image, gains, dtype=cv2.CV_8U)


def _resized(array: np.ndarray, side: int) -> np.ndarray:
    shrink = side < len(array)
    kernel = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return cv2.resize(array, (side, side), interpolation=kernel)
