"""Crops of an image for a detector, and the merging of detections."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import cv2
import numpy as np

from fdsr.landmarks.base import FoundFace

Found = TypeVar('Found')

Box = tuple[float, float, float, float]
#: Boxes of one face: intersection over union, or over the smaller box.
_SAME_UNION, _SAME_INSIDE = 0.3, 0.6
#: Minimum side of a window; faces in smaller ones cannot be restored.
_SMALLEST_WINDOW = 96
#: Maximum of the longer side of what a native detector gets. MediaPipe's OpenCV aborts
#: the process on 32,767 pixels, and a padded image must stay below as well.
LONGEST_SEEN, _LONGEST_PADDED = 8192, 32_766
#: Maximum aspect ratio for the width of a border, which limits the memory for strips.
_LONGEST = 4


def enlarged(image: np.ndarray, min_side: int) -> tuple[np.ndarray, float]:
    """Upsamples an image to a minimum shorter side with PIL's bicubic.

    The longer side is limited to ``LONGEST_SEEN``; beyond, the image is downsampled.

    Args:
        image: uint8 (H, W, 3).
        min_side: minimum of the shorter side in pixels.

    Returns:
        The contiguous image and the factor.
    """
    from PIL import Image
    height, width = image.shape[:2]
    factor = min(max(1.0, min_side / min(height, width)),
                 LONGEST_SEEN / max(height, width))
    if factor != 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = np.array(Image.fromarray(image).resize(size, Image.BICUBIC))
    return np.ascontiguousarray(image), factor


def padded(image: np.ndarray, padding: float) -> tuple[np.ndarray, int]:
    """Pads an image by repeating the outermost pixels.

    Args:
        image: uint8 (H, W, 3).
        padding: width of the border as a share of the longer side.

    Returns:
        The padded image and the width of its border in pixels.
    """
    short, long = sorted(image.shape[:2])
    border = min(round(padding * min(long, _LONGEST * short)),
                 max(0, (_LONGEST_PADDED - long) // 2))
    if not border:
        return image, 0
    return cv2.copyMakeBorder(
        image, border, border, border, border, cv2.BORDER_REPLICATE), border


def bounded(image: np.ndarray) -> np.ndarray:
    """Downsamples an image to a longer side of at most ``LONGEST_SEEN``."""
    return rescaled(image, min(1.0, LONGEST_SEEN / max(image.shape[:2])))


def rescaled(image: np.ndarray, factor: float) -> np.ndarray:
    """Scales an image (H, W, 3) to at least one pixel, with OpenCV."""
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=(
        cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC))


def windows(shape: tuple[int, ...], halvings: int,
            smallest: int = _SMALLEST_WINDOW) -> list[tuple[int, int, int, int]]:
    """Returns the photograph and square windows of halved sizes that overlap by a half.

    Args:
        shape: shape of the photograph, (H, W, …).
        halvings: number of times the size is halved.
        smallest: minimum side of a window.

    Returns:
        x1, y1, x2, y2 of each window in whole pixels, inside of the photograph.
    """
    height, width = shape[:2]
    found = [(0, 0, width, height)]
    for halving in range(1, halvings + 1):
        side = max(height, width) >> halving
        if side < smallest:
            break
        found += [(left, top, min(left + side, width), min(top + side, height))
                  for top in _starts(height, side) for left in _starts(width, side)]
    return found


def _starts(length: int, side: int) -> list[int]:
    """Returns starts of windows that overlap by at least a half and reach the end."""
    if length <= side:
        return [0]
    count = -(-(length - side) // (side // 2)) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def distinct(found: Iterable[Found],
             same: Callable[[Found, Found], bool]) -> list[Found]:
    """Returns the detections that are not the same as one before them."""
    kept: list[Found] = []
    for candidate in found:
        if not any(same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def intersection(first: Box, second: Box) -> tuple[float, tuple[float, float]]:
    """Returns the area of the intersection of two boxes, and their own areas."""
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    return width * height, tuple(
        (box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))


def overlap(first: Box, second: Box) -> bool:
    """Returns True if two boxes contain the same face or parts of it."""
    shared, areas = intersection(first, second)
    return shared > 0 and (shared > _SAME_UNION * (sum(areas) - shared)
                           or shared > _SAME_INSIDE * min(areas))


def near(guess: Box, face: Box) -> bool:
    """Returns True if a box without landmarks is an inaccurate detection of a face.

    At the limit of the detector's resolution, the error of a box is as large as the
    box.
    """
    reach = max(guess[2] - guess[0], guess[3] - guess[1]) / 2
    return (face[0] < guess[2] + reach and face[2] > guess[0] - reach
            and face[1] < guess[3] + reach and face[3] > guess[1] - reach)


def is_same_face(first: FoundFace, second: FoundFace) -> bool:
    """Returns True if the landmarks of two candidates belong to one face."""
    if first.landmarks is None or second.landmarks is None:
        return False
    apart = np.abs(first.landmarks.points - second.landmarks.points).max()
    return bool(apart < 0.5 * max(first.landmarks.eye_distance,
                                  second.landmarks.eye_distance))
