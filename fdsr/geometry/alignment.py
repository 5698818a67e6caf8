"""Square crops of faces: around the box, or aligned by five landmarks.

Coordinates are in pixels, x then y, with (0, 0) the *centre* of the top left pixel, so
that an image of width W extends from -0.5 to W - 0.5. VGGFace2's boxes count edges: a
box (X, Y, W, H) covers the pixels X .. X + W - 1.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fdsr.geometry.five_points import MOST_ROLL, problem_of

#: FFHQ's mean left eye, right eye, nose tip, left and right mouth corner (image-left)
#: in an image of 512 px, as used by DFDNet and its successors.
FFHQ_TEMPLATE_512 = np.array([
    [192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935],
    [201.26117, 371.41043], [313.08905, 371.15118]])

#: Limits of the side of a crop: multiples of the longer image side, and pixels. The
#: last one limits the memory of a crop to 600 MB; OpenCV's own limit is higher.
LARGEST_CROP = 4.0
SMALLEST_CROP, LARGEST_SIDE = 8, 14_142


class FaceCrop(NamedTuple):
    """Square crop of an image at (about) the resolution of the image.

    Attributes:
        matrix: float64 (2, 3), from pixels of the image to pixels of the crop.
        side: Side of the crop in pixels.
    """

    matrix: np.ndarray
    side: int


def five_point_template(size: int, eye_share: float) -> np.ndarray:
    """Returns FFHQ's five points, scaled about the centre of the image.

    Args:
        size: Side of the image in pixels.
        eye_share: Eye distance as a share of the side; FFHQ has 0.243 to 0.246,
            depending on the landmark detector.

    Returns:
        float64 (5, 2).
    """
    eyes = np.linalg.norm(FFHQ_TEMPLATE_512[1] - FFHQ_TEMPLATE_512[0])
    offsets = (FFHQ_TEMPLATE_512 - 255.5) / eyes
    return offsets * eye_share * size + (size - 1) / 2


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Estimates the least-squares similarity (rotation, scale, translation).

    Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991, equations 40 to 42. In the plane it has a closed form: with the
    points as complex numbers, the factor is ⟨source, target⟩ / ⟨source, source⟩.

    Args:
        source: (N, 2).
        target: (N, 2).

    Returns:
        float64 (2, 3), from source to target.

    Raises:
        ValueError: All source points coincide.
    """
    source = np.asarray(source, np.float64) @ (1, 1j)
    target = np.asarray(target, np.float64) @ (1, 1j)
    centred = source - source.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-12:
        raise ValueError('all landmarks are one point')
    factor = np.vdot(centred, target) / spread
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real],
                     [factor.imag, factor.real, shift.imag]])


def jittered(landmarks: np.ndarray, shift: float = 0.0,
             angle: float = 0.0) -> np.ndarray:
    """Moves landmarks together at random, as an imprecise detector would.

    Args:
        landmarks: (5, 2) in pixels.
        shift: Maximum shift along each axis in eye distances.
        angle: Maximum rotation about their centre in degrees. The random numbers come
            from ``np.random``.

    Returns:
        float64 (5, 2).
    """
    points = np.asarray(landmarks, np.float64) @ (1, 1j)
    reach = shift * abs(points[1] - points[0])
    turn = np.exp(1j * np.radians(np.random.uniform(-angle, angle)))
    moved = (points - points.mean()) * turn + points.mean()
    moved += np.random.uniform(-reach, reach) + 1j * np.random.uniform(-reach, reach)
    return np.stack([moved.real, moved.imag], 1)


def box_crop(box: np.ndarray, image_size: tuple[int, int], scale: float) -> FaceCrop:
    """Returns the square around the centre of a box.

    Args:
        box: (4,) X, Y, W, H; may extend beyond the image.
        image_size: Width and height of the image.
        scale: Side of the square in longer sides of the box.

    Raises:
        ValueError: The box is outside of the image, or the crop is too small or large.
    """
    _check_box(box, image_size)
    x, y, width, height = np.asarray(box, np.float64).tolist()
    side = _checked_side(scale * max(width, height), image_size)
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    return FaceCrop(np.array([[1., 0, -left], [0, 1, -top]]), side)


def _check_box(box: np.ndarray, image_size: tuple[int, int]) -> None:
    """Checks that a box overlaps its image."""
    x, y, width, height = np.asarray(box, np.float64).tolist()
    if min(x + width, image_size[0]) <= max(x, 0) or \
            min(y + height, image_size[1]) <= max(y, 0):
        raise ValueError(f'the box {x:g},{y:g},{width:g},{height:g} misses the '
                         f'image of {image_size[0]}x{image_size[1]} px')


def five_point_crop(landmarks: np.ndarray, image_size: tuple[int, int],
                    eye_share: float) -> FaceCrop:
    """Returns the square in which the landmarks match FFHQ's template.

    The image is rotated and shifted, but not scaled (except for rounding the side).
    Scaling is left to one anti-aliased resize.

    Args:
        landmarks: (5, 2) in pixels of the image.
        image_size: Width and height of the image.
        eye_share: Eye distance of the template as a share of the side.

    Raises:
        ValueError: The landmarks coincide or are not in the order of the template, the
            square is outside of the image, or the crop is too small or large.
    """
    to_unit = similarity(landmarks, five_point_template(1, eye_share))
    side = 1 / np.hypot(*to_unit[:, 0])
    if side >= SMALLEST_CROP:  # a wrong order also gives a wrong side
        _check_landmarks(landmarks)
    side = _checked_side(side, image_size)
    crop = FaceCrop(similarity(landmarks, five_point_template(side, eye_share)), side)
    if padded_share(crop, image_size) == 1:
        raise ValueError(f'the aligned square misses the image of {image_size[0]}x'
                         f'{image_size[1]} px: the landmarks lie outside of it')
    return crop


def face_crop(box: np.ndarray, landmarks: np.ndarray, image_size: tuple[int, int],
              aligned: bool, crop_scale: float, eye_share: float) -> FaceCrop:
    """Returns the crop of a face, see ``five_point_crop`` and ``box_crop``.

    Args:
        box: (4,) X, Y, W, H.
        landmarks: (5, 2) in pixels of the image.
        image_size: Width and height of the image.
        aligned: Align the landmarks; otherwise crop around the box.
        crop_scale: Side of the square in longer sides of the box.
        eye_share: Eye distance of the template as a share of the side.

    Raises:
        ValueError: The crop is impossible, or the landmarks are not in the order of
            the template; or they are rotated by more than ``MOST_ROLL`` degrees, and
            the crop follows the box.
    """
    if not aligned:
        _check_landmarks(landmarks, MOST_ROLL)
        return box_crop(box, image_size, crop_scale)
    # not needed for the crop, but it detects a row that belongs to another image
    _check_box(box, image_size)
    return five_point_crop(landmarks, image_size, eye_share)


def _check_landmarks(landmarks: np.ndarray, most_roll: float = 180) -> None:
    """Checks the order and the rotation of five landmarks."""
    problem = problem_of(landmarks, most_roll)
    if problem:
        raise ValueError(problem)


def crop_in_words(aligned: bool, crop_scale: float, eye_share: float, size: int) -> str:
    """Describes a crop for protocols."""
    crop = ('5-point similarity to the FFHQ template, eye distance '
            f'{eye_share:g} of the side' if aligned else
            f'square around the box, {crop_scale:g} x its longer side')
    return f'{crop}; reflected beyond the image; PIL bicubic to {size} px'


def _checked_side(side: float, image_size: tuple[int, int]) -> int:
    side = round(side)
    if not SMALLEST_CROP <= side <= LARGEST_CROP * max(image_size):
        raise ValueError(
            f'the crop would be {side} px wide, expected {SMALLEST_CROP} to '
            f'{LARGEST_CROP:g} times the image of {image_size[0]}x{image_size[1]} px')
    if side > LARGEST_SIDE:
        raise ValueError(f'the crop would be {side} px wide, at most {LARGEST_SIDE:,} '
                         'px are supported')
    return side


def padded_share(crop: FaceCrop, image_size: tuple[int, int]) -> float:
    """Returns the share of a crop outside of its image, to within 0.1 %.

    The corners are checked first, so that 0 is exact.

    Args:
        crop: The crop.
        image_size: Width and height of the image.
    """
    linear, shift = crop.matrix[:, :2], crop.matrix[:, 2]
    inverse = np.linalg.inv(linear)

    def outside(points: np.ndarray) -> np.ndarray:
        there = (points - shift) @ inverse.T
        # half a pixel beyond the outermost centres, with a tolerance for rounding
        return ((there < -0.5 - 1e-6)
                | (there > np.array(image_size) - 0.5 + 1e-6)).any(-1)

    ends = np.array([-0.5, crop.side - 0.5])
    if not outside(np.stack(np.meshgrid(ends, ends), -1)).any():
        return 0.0
    grid = (np.arange(64) + 0.5) * crop.side / 64 - 0.5
    share = outside(np.stack(np.meshgrid(grid, grid), -1)).mean()
    return float(max(share, 1e-4))  # at least one corner is outside


def cut(image: np.ndarray, crop: FaceCrop) -> np.ndarray:
    """Cuts a crop out of an image, with reflection beyond the border.

    Args:
        image: uint8 (H, W, 3).
        crop: The crop.

    Returns:
        uint8 (side, side, 3).
    """
    matrix, side = crop
    linear, shift = matrix[:, :2], matrix[:, 2]
    if (linear == np.eye(2)).all() and (shift == shift.astype(int)).all():
        rows, columns = (_reflected(np.arange(side) - int(start), length)
                         for start, length in zip(shift[::-1], image.shape))
        return image.take(rows, axis=0).take(columns, axis=1)
    import cv2
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC,
                          borderMode=cv2.BORDER_REFLECT_101)


def _reflected(positions: np.ndarray, length: int) -> np.ndarray:
    """Folds positions into [0, length) about the centres of the outermost pixels."""
    period = max(2 * (length - 1), 1)
    folded = positions % period
    return np.minimum(folded, period - folded) if length > 1 else folded * 0


def resize(img: np.ndarray, size: int) -> np.ndarray:
    """Resizes a square image with PIL's bicubic (a = -0.5, anti-aliased).

    Args:
        img: uint8 (S, S, 3).
        size: New side.

    Returns:
        uint8 (size, size, 3).
    """
    from PIL import Image
    if len(img) == size:
        return img
    # np.array, because torch warns about the read-only memory of np.asarray
    return np.array(Image.fromarray(img).resize((size, size), Image.BICUBIC))


def move_points(points: np.ndarray, crop: FaceCrop, size: int) -> np.ndarray:
    """Transforms points from the image to the resized crop.

    Args:
        points: (N, 2) in pixels of the image.
        crop: The crop.
        size: Side of the resized crop.

    Returns:
        float32 (N, 2) in pixels of the resized crop.
    """
    inside = np.asarray(points, np.float64) @ crop.matrix[:, :2].T + crop.matrix[:, 2]
    return ((inside + 0.5) * (size / crop.side) - 0.5).astype(np.float32)
