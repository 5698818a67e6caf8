"""Where a face is cut out of its picture: a square around the box, or aligned.

Coordinates are in pixels, x then y, with (0, 0) the *centre* of the top left pixel;
a picture of width W so reaches from -0.5 to W - 0.5. VGGFace2's boxes count edges: a
box (X, Y, W, H) covers the pixels X .. X + W - 1.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

#: FFHQ's mean left eye, right eye, nose tip, left and right mouth corner (left is the
#: image's left) in a 512 px picture, as the face restorers of DFDNet's kind use them.
FFHQ_TEMPLATE_512 = np.array([
    [192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935],
    [201.26117, 371.41043], [313.08905, 371.15118]])

#: A crop may be this many times as long as its picture; beyond it is a slip.
LARGEST_CROP = 4.0
SMALLEST_CROP = 8


class FaceCrop(NamedTuple):
    """A square cut out of a picture at (about) the picture's own resolution.

    Attributes:
        matrix: float64 (2, 3), from the picture's pixels to the square's.
        side: The square's side in pixels.
    """

    matrix: np.ndarray
    side: int


def five_point_template(size: int, eye_share: float) -> np.ndarray:
    """FFHQ's five points, scaled about the picture's centre.

    Args:
        size: Side of the picture in pixels.
        eye_share: Distance of the eyes as a share of the side; FFHQ itself has 0.243
            to 0.246, depending on whose five points are taken.

    Returns:
        float64 (5, 2).
    """
    eyes = np.linalg.norm(FFHQ_TEMPLATE_512[1] - FFHQ_TEMPLATE_512[0])
    offsets = (FFHQ_TEMPLATE_512 - 255.5) / eyes
    return offsets * eye_share * size + (size - 1) / 2


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity (turn, scale, shift; no mirroring) of least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991, equations 40 to 42. In the plane it has a closed form: with the
    points as complex numbers, the best factor is ⟨source, target⟩ / ⟨source, source⟩.

    Args:
        source: (N, 2).
        target: (N, 2).

    Returns:
        float64 (2, 3), from source to target.

    Raises:
        ValueError: All source points are one.
    """
    points = np.asarray(source, np.float64) @ (1, 1j)
    goals = np.asarray(target, np.float64) @ (1, 1j)
    centred = points - points.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-12:
        raise ValueError('all landmarks are one point')
    factor = np.vdot(centred, goals) / spread
    shift = goals.mean() - factor * points.mean()
    return np.array([[factor.real, -factor.imag, shift.real],
                     [factor.imag, factor.real, shift.imag]])


def box_crop(box: np.ndarray, picture: tuple[int, int], scale: float) -> FaceCrop:
    """A square around a box's centre, ``scale`` times its longer side.

    Args:
        box: (4,) X, Y, W, H; may be negative or overrun the picture.
        picture: Width and height of the picture.
        scale: Side of the square in longer sides of the box.

    Raises:
        ValueError: The box misses the picture, or is out of all proportion to it.
    """
    check_box(box, picture)
    x, y, width, height = np.asarray(box, np.float64).tolist()
    side = _checked_side(scale * max(width, height), picture)
    left = round(x + width / 2 - side / 2)
    top = round(y + height / 2 - side / 2)
    return FaceCrop(np.array([[1., 0, -left], [0, 1, -top]]), side)


def check_box(box: np.ndarray, picture: tuple[int, int]) -> None:
    """Raise a ValueError if a box has nothing in common with its picture.

    Args:
        box: (4,) X, Y, W, H.
        picture: Width and height of the picture.
    """
    x, y, width, height = np.asarray(box, np.float64).tolist()
    if min(x + width, picture[0]) <= max(x, 0) or \
            min(y + height, picture[1]) <= max(y, 0):
        raise ValueError(f'the box {x:g},{y:g},{width:g},{height:g} misses the '
                         f'picture of {picture[0]}x{picture[1]} px')


def five_point_crop(landmarks: np.ndarray, picture: tuple[int, int],
                    eye_share: float) -> FaceCrop:
    """A square in which the five landmarks lie on FFHQ's template.

    Its side is chosen so that the picture is turned and shifted, but (but for the
    rounding of the side) not scaled: scaling is left to one anti-aliased resize.

    Args:
        landmarks: (5, 2) in pixels of the picture.
        picture: Width and height of the picture.
        eye_share: Distance of the template's eyes as a share of the side.

    Raises:
        ValueError: The landmarks coincide, or the square misses the picture or is out
            of all proportion to it.
    """
    to_unit = similarity(landmarks, five_point_template(1, eye_share))
    side = _checked_side(1 / np.hypot(*to_unit[:, 0]), picture)
    crop = FaceCrop(similarity(landmarks, five_point_template(side, eye_share)), side)
    if padded_share(crop, picture) == 1:
        raise ValueError(f'the aligned square misses the picture of {picture[0]}x'
                         f'{picture[1]} px: the landmarks lie outside of it')
    return crop


def _checked_side(side: float, picture: tuple[int, int]) -> int:
    side = round(side)
    if not SMALLEST_CROP <= side <= LARGEST_CROP * max(picture):
        raise ValueError(
            f'the crop would be {side} px wide, expected {SMALLEST_CROP} to '
            f'{LARGEST_CROP:g} times the picture of {picture[0]}x{picture[1]} px')
    return side


def padded_share(crop: FaceCrop, picture: tuple[int, int]) -> float:
    """Share of a crop that lies outside of its picture, to within 0.1 %.

    0 means that nothing does: the corners are looked at first.

    Args:
        crop: The crop.
        picture: Width and height of the picture.
    """
    linear, shift = crop.matrix[:, :2], crop.matrix[:, 2]
    inverse = np.linalg.inv(linear)

    def outside(points: np.ndarray) -> np.ndarray:
        there = (points - shift) @ inverse.T
        # half a pixel beyond the outermost centres, and a hair for rounding
        return ((there < -0.5 - 1e-6)
                | (there > np.array(picture) - 0.5 + 1e-6)).any(-1)

    ends = np.array([-0.5, crop.side - 0.5])
    if not outside(np.stack(np.meshgrid(ends, ends), -1)).any():
        return 0.0
    grid = (np.arange(64) + 0.5) * crop.side / 64 - 0.5
    share = outside(np.stack(np.meshgrid(grid, grid), -1)).mean()
    return float(max(share, 1e-4))  # a corner does stick out


def cut(picture: np.ndarray, crop: FaceCrop) -> np.ndarray:
    """Cut a crop out; outside of the picture it is continued by reflection.

    Args:
        picture: uint8 (H, W, 3).
        crop: The crop.

    Returns:
        uint8 (side, side, 3).
    """
    matrix, side = crop
    if _only_shifts(crop):
        left, top = -matrix[:, 2].astype(int)
        height, width = picture.shape[:2]
        rows = picture.take(_reflected(np.arange(top, top + side), height), axis=0)
        columns = _reflected(np.arange(left, left + side), width)
        # [start, end) of the square is not reflected; picking columns is slow
        start = min(max(-left, 0), side)
        end = min(max(width - left, start), side)
        square = np.empty((side, side, 3), picture.dtype)
        square[:, start:end] = rows[:, left + start:left + end]
        square[:, :start] = rows[:, columns[:start]]
        square[:, end:] = rows[:, columns[end:]]
        return square
    import cv2
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_CUBIC,
                          borderMode=cv2.BORDER_REFLECT_101)


def _only_shifts(crop: FaceCrop) -> bool:
    """Whether the square takes whole pixels as they are."""
    a, b, left, c, d, top = crop.matrix.ravel().tolist()
    return (a, b, c, d) == (1, 0, 0, 1) and left.is_integer() and top.is_integer()


def _reflected(positions: np.ndarray, length: int) -> np.ndarray:
    """Positions folded into [0, length) about the outermost pixels' centres."""
    period = max(2 * (length - 1), 1)
    folded = positions % period
    return np.minimum(folded, period - folded) if length > 1 else folded * 0


def resize(img: np.ndarray, size: int) -> np.ndarray:
    """Resize a square by PIL's bicubic (a = -0.5), anti-aliased when it shrinks.

    Args:
        img: uint8 (S, S, 3).
        size: New side.

    Returns:
        uint8 (size, size, 3).
    """
    from PIL import Image
    if len(img) == size:
        return img
    # np.array: torch warns of the read-only memory that asarray would share
    return np.array(Image.fromarray(img).resize((size, size), Image.BICUBIC))


def cut_and_resize(image: Image.Image, crop: FaceCrop, size: int) -> np.ndarray:
    """What :func:`cut` and :func:`resize` make of a picture, often in less time.

    Args:
        image: RGB.
        crop: The crop.
        size: Side of the result.

    Returns:
        uint8 (size, size, 3).
    """
    from PIL import Image
    side = crop.side
    left, top = -crop.matrix[:, 2].astype(int)
    if _only_shifts(crop) and 0 <= left <= image.width - side and \
            0 <= top <= image.height - side:  # nothing is turned, nothing reflected
        square = image.crop((left, top, left + side, top + side))
        return np.array(square if side == size else
                        square.resize((size, size), Image.BICUBIC))
    return resize(cut(np.asarray(image), crop), size)


def move_points(points: np.ndarray, crop: FaceCrop, size: int) -> np.ndarray:
    """Follow points from the picture into the crop, resized to ``size``.

    Args:
        points: (N, 2) in pixels of the picture.
        crop: The crop.
        size: Side that the crop is resized to.

    Returns:
        float32 (N, 2) in pixels of the resized crop.
    """
    inside = np.asarray(points, np.float64) @ crop.matrix[:, :2].T + crop.matrix[:, 2]
    return ((inside + 0.5) * (size / crop.side) - 0.5).astype(np.float32)
