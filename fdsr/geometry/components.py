"""Facial components: names, boxes and sizes of the atoms."""

import math

import numpy as np

from fdsr.geometry.alignment import five_point_template

#: The order of boxes in every ``(B, 4, 4)`` tensor; left is the image's left.
COMPONENTS: tuple[str, ...] = ('left_eye', 'right_eye', 'nose', 'mouth')

#: Eye distance of an FFHQ-aligned face as a share of the side.
FFHQ_EYE_SHARE = 0.243

#: Atom sides of DFDNet's release, finest level first: components of 80, 80, 50 and
#: 110 px at a side of 512, at strides 2, 4, 8 and 16.
_RELEASE_ATOM_SIDES: dict[str, tuple[int, ...]] = {
    'left_eye': (40, 20, 10, 5),
    'right_eye': (40, 20, 10, 5),
    'nose': (25, 12, 6, 3),
    'mouth': (55, 27, 13, 6),
}
_SMALLEST_ATOM = 2

# Boxes from five points, in units of the eye distance: offset of an eye box above the
# eye, and half the side.
_EYE_LIFT = 0.18
_HALF_SIDES = {'left_eye': 0.32, 'right_eye': 0.32, 'nose': 0.20, 'mouth': 0.45}
#: Minimum of half a box as a share of the image side.
_SMALLEST_HALF = 1 / 32

#: The side at which DFDNet computes boxes from 68 landmarks.
_DFDNET_SIDE = 512
#: Indices of the 68 points inside of each component's box; eyes include brows.
_POINTS_OF: dict[str, tuple[int, ...]] = {
    'left_eye': (*range(17, 22), *range(36, 42)),
    'right_eye': (*range(22, 27), *range(42, 48)),
    'nose': tuple(range(29, 36)),
    'mouth': tuple(range(48, 68)),
}


def boxes_from_five_points(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Computes component boxes from VGGFace2's five points.

    Args:
        landmarks: (..., 5, 2) in pixels: image-left eye, image-right eye, nose tip,
            image-left and image-right mouth corner, each x, y.
        side: side of the square image in pixels.

    Returns:
        (..., 4, 4) float32: ``COMPONENTS`` in order, each x1, y1, x2, y2. Boxes may
        extend beyond the image.

    Raises:
        ValueError: the landmarks have another shape.
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
        half = np.maximum(_HALF_SIDES[component] * eye_distance,
                          side * _SMALLEST_HALF)[..., None]
        centre = centres[component]
        boxes.append(np.concatenate([centre - half, centre + half], axis=-1))
    return np.stack(boxes, axis=-2).astype(np.float32)


def template_boxes(size: int, eye_share: float = FFHQ_EYE_SHARE) -> np.ndarray:
    """Returns the component boxes (4, 4) of FFHQ's template.

    Args:
        size: side of the SR image.
        eye_share: eye distance as a share of the side.
    """
    return boxes_from_five_points(five_point_template(size, eye_share), size)


def boxes_from_68_points(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Computes component boxes from 68 landmarks with DFDNet's formula.

    At a side of 512 the result equals DFDNet's code: the mean of the points plus and
    minus half the larger extent (at least 16), the near corner plus one pixel,
    truncated. Other sides are scaled to 512 and back.

    Args:
        landmarks: (..., 68, 2) in pixels, in the order of iBUG's 300-W (17-26 brows,
            27-35 nose, 36-47 eyes, 48-67 mouth; the image's left first), each x, y.
        side: side of the square image in pixels.

    Returns:
        (..., 4, 4) float32: ``COMPONENTS`` in order, each x1, y1, x2, y2. Boxes may
        extend beyond the image.

    Raises:
        ValueError: the landmarks have another shape.
    """
    scale = _DFDNET_SIDE / side
    points = _checked_68(landmarks) * scale
    boxes = []
    for component in COMPONENTS:
        inside = points[..., _POINTS_OF[component], :]
        half = np.maximum(np.ptp(inside, axis=-2).max(axis=-1, keepdims=True) / 2,
                          _DFDNET_SIDE * _SMALLEST_HALF)
        centre = inside.mean(axis=-2)
        boxes.append(np.trunc(
            np.concatenate([centre - half + 1, centre + half], axis=-1)))
    return (np.stack(boxes, axis=-2) / scale).astype(np.float32)


def five_points_from_68(landmarks: np.ndarray) -> np.ndarray:
    """Derives eye centres, nose tip and mouth corners from 68 landmarks.

    Args:
        landmarks: (..., 68, 2), as in :func:`boxes_from_68_points`.

    Returns:
        (..., 5, 2) float32: the means of points 36-41 and of 42-47, points 30, 48, 54.

    Raises:
        ValueError: the landmarks have another shape.
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


def atom_sides(side: int, reference_side: int, eye_share: float = FFHQ_EYE_SHARE,
               levels: int = 4) -> dict[str, list[int]]:
    """Returns the side of the atoms of each component and level, finest level first.

    The sides of DFDNet's release are scaled with the image and the size of the face in
    it. The minimum is 2, because a 1×1 atom has no variance for AdaIN.

    Args:
        side: side of the SR image.
        reference_side: side at which the layout has the sides of the release.
        eye_share: eye distance as a share of the side.
        levels: levels of the encoder.
    """
    factor = side / reference_side * eye_share / FFHQ_EYE_SHARE
    return {
        component: [_scaled(base, factor) for base in sides[:levels]]
        for component, sides in _RELEASE_ATOM_SIDES.items()
    }


def _scaled(base: int, factor: float) -> int:
    # round: otherwise floating point could turn 40 × 1.0 into 39
    return max(_SMALLEST_ATOM, math.floor(round(base * factor, 6)))


def flip_boxes(boxes: np.ndarray, side: int) -> np.ndarray:
    """Mirrors ``(..., 4, 4)`` boxes and keeps the order of ``COMPONENTS``."""
    flipped = boxes.copy()
    flipped[..., 0] = side - boxes[..., 2]
    flipped[..., 2] = side - boxes[..., 0]
    return flipped[..., [1, 0, 2, 3], :]
