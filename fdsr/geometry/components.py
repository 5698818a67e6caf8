"""Facial components: their names, their boxes, and how large an atom of each is."""

import math
from typing import Dict, List, Sequence, Tuple

import numpy as np

from fdsr.geometry.alignment import five_point_template

#: The order of boxes in every ``(B, 4, 4)`` tensor; left is the picture's left.
COMPONENTS: Tuple[str, ...] = ('left_eye', 'right_eye', 'nose', 'mouth')

#: Share of the side that the eyes of an FFHQ-aligned face are apart.
FFHQ_EYE_SHARE = 0.243

#: Atom sides of DFDNet's release, finest level first: the parts of 80, 80, 50 and
#: 110 px at 512, seen at strides 2, 4, 8 and 16.
_RELEASE_ATOM_SIDES: Dict[str, Tuple[int, ...]] = {
    'left_eye': (40, 20, 10, 5),
    'right_eye': (40, 20, 10, 5),
    'nose': (25, 12, 6, 3),
    'mouth': (55, 27, 13, 6),
}
_SMALLEST_ATOM = 2

# Boxes from five points, in units of the distance of the eyes: how far the centre
# lies above its point, and half the side.
_EYE_LIFT = 0.18
_HALF_SIDES = {'left_eye': 0.32, 'right_eye': 0.32, 'nose': 0.20, 'mouth': 0.45}
#: Half a box is never less than this share of the picture's side.
_SMALLEST_HALF = 1 / 32

#: The side that DFDNet's boxes from 68 landmarks are worked out at.
_DFDNET_SIDE = 512
#: Of the 68 points, those that a component's box is drawn around: eyes with brows.
_POINTS_OF: Dict[str, Tuple[int, ...]] = {
    'left_eye': (*range(17, 22), *range(36, 42)),
    'right_eye': (*range(22, 27), *range(42, 48)),
    'nose': tuple(range(29, 36)),
    'mouth': tuple(range(48, 68)),
}


def boxes_from_five_points(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Component boxes from VGGFace2's five points.

    Args:
        landmarks: (..., 5, 2) in pixels: image-left eye, image-right eye, nose tip,
            image-left and image-right mouth corner, each x, y.
        side: side of the square picture, in the same pixels.

    Returns:
        (..., 4, 4) float32: ``COMPONENTS`` in order, each x1, y1, x2, y2. Boxes may
        reach over the picture's border.

    Raises:
        ValueError: the landmarks' shape is another one.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape[-2:] != (5, 2):
        raise ValueError(
            f'Expected five landmarks as (..., 5, 2), found {points.shape}.')
    left_eye, right_eye, nose, left_mouth, right_mouth = np.moveaxis(points, -2, 0)
    eye_distance = np.linalg.norm(right_eye - left_eye, axis=-1)
    lift = np.stack([np.zeros_like(eye_distance), _EYE_LIFT * eye_distance], axis=-1)
    centres = {
        'left_eye': left_eye - lift,
        'right_eye': right_eye - lift,
        'nose': nose,
        'mouth': (left_mouth + right_mouth) / 2,
    }
    boxes = []
    for component in COMPONENTS:
        half = np.maximum(_HALF_SIDES[component] * eye_distance, side * _SMALLEST_HALF)
        half = half[..., None]
        centre = centres[component]
        boxes.append(np.concatenate([centre - half, centre + half], axis=-1))
    return np.stack(boxes, axis=-2).astype(np.float32)


def template_boxes(size: int, eye_share: float = FFHQ_EYE_SHARE) -> np.ndarray:
    """(4, 4): the components of a face that lies where FFHQ's template has it.

    Args:
        size: side of the SR picture.
        eye_share: distance of the eyes as a share of the side.
    """
    return boxes_from_five_points(five_point_template(size, eye_share), size)


def boxes_from_68_points(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Component boxes from 68 landmarks, by DFDNet's formula.

    At a side of 512 they are whole pixels, as in DFDNet's code: the points' mean plus
    and minus half the larger extent, at least 16, the near corner one pixel further,
    truncated. For another side the landmarks are brought to 512 and the boxes back.

    Args:
        landmarks: (..., 68, 2) in pixels, in the order of iBUG's 300-W (17-26 brows,
            27-35 nose, 36-47 eyes, 48-67 mouth; the image's left first), each x, y.
        side: side of the square picture, in the same pixels.

    Returns:
        (..., 4, 4) float32: ``COMPONENTS`` in order, each x1, y1, x2, y2. Boxes may
        reach over the picture's border.

    Raises:
        ValueError: the landmarks' shape is another one.
    """
    scale = _DFDNET_SIDE / side
    points = _checked_68(landmarks) * scale
    boxes = []
    for component in COMPONENTS:
        part = points[..., _POINTS_OF[component], :]
        half = np.maximum(np.ptp(part, axis=-2).max(axis=-1, keepdims=True) / 2,
                          _DFDNET_SIDE * _SMALLEST_HALF)
        centre = part.mean(axis=-2)
        boxes.append(np.trunc(
            np.concatenate([centre - half + 1, centre + half], axis=-1)))
    return (np.stack(boxes, axis=-2) / scale).astype(np.float32)


def five_points_from_68(landmarks: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip and mouth corners out of 68 landmarks.

    Args:
        landmarks: (..., 68, 2), as in :func:`boxes_from_68_points`.

    Returns:
        (..., 5, 2) float32: the means of points 36-41 and of 42-47, points 30, 48, 54.

    Raises:
        ValueError: the landmarks' shape is another one.
    """
    points = _checked_68(landmarks)
    eyes = [points[..., 36:42, :].mean(axis=-2), points[..., 42:48, :].mean(axis=-2)]
    others = [points[..., index, :] for index in (30, 48, 54)]
    return np.stack(eyes + others, axis=-2).astype(np.float32)


def _checked_68(landmarks: np.ndarray) -> np.ndarray:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape[-2:] != (68, 2):
        raise ValueError(
            f'Expected 68 landmarks as (..., 68, 2), found {points.shape}.')
    return points


def atom_sides(
    side: int,
    reference_side: int,
    eye_share: float = FFHQ_EYE_SHARE,
    levels: int = 4,
) -> Dict[str, List[int]]:
    """Side of the square atoms of each component and level, finest level first.

    The release's sides, scaled with the picture and with how large a face stands in
    it, and never below 2: a 1×1 atom has no variance for AdaIN to work with.

    Args:
        side: side of the SR picture.
        reference_side: side at which the layout has the release's own atom sides.
        eye_share: distance of the eyes as a share of the side.
        levels: how many levels the encoder has.
    """
    factor = side / reference_side * eye_share / FFHQ_EYE_SHARE
    return {
        component: [_scaled(base, factor) for base in sides[:levels]]
        for component, sides in _RELEASE_ATOM_SIDES.items()
    }


def _scaled(base: int, factor: float) -> int:
    # The rounding keeps 40 × 1.0 from becoming 39 by a float's last bit.
    return max(_SMALLEST_ATOM, math.floor(round(base * factor, 6)))


def flip_boxes(boxes: np.ndarray, side: int) -> np.ndarray:
    """Mirrors ``(..., 4, 4)`` boxes and swaps the eyes, so that left stays left."""
    flipped = boxes.copy()
    flipped[..., 0] = side - boxes[..., 2]
    flipped[..., 2] = side - boxes[..., 0]
    order: Sequence[int] = [
        COMPONENTS.index(name)
        for name in ('right_eye', 'left_eye', 'nose', 'mouth')
    ]
    return flipped[..., order, :]
