"""The parts of an image that a detector is shown, and merging what it finds in them."""

import cv2
import numpy as np

from fdsr.landmarks.base import FoundFace

Box = tuple[float, float, float, float]
#: Two boxes that share this much of their union, or of the smaller one, are one face.
_SAME_UNION, _SAME_INSIDE = 0.3, 0.6
#: A window smaller than this shows no face that could be restored.
_SMALLEST_WINDOW = 96
#: A strip is padded as if it were this many times as long as it is wide: more would
#: take gigabytes.
_LONGEST = 4


def enlarged(image: np.ndarray, min_side: int) -> tuple[np.ndarray, float]:
    """Upsamples an image whose shorter side is below a minimum, by PIL's bicubic.

    Args:
        image: uint8 (H, W, 3).
        min_side: in pixels.

    Returns:
        The image, contiguous, and the factor, at least 1.
    """
    from PIL import Image
    height, width = image.shape[:2]
    factor = max(1.0, min_side / min(height, width))
    if factor > 1:
        size = (round(width * factor), round(height * factor))
        image = np.array(Image.fromarray(image).resize(size, Image.BICUBIC))
    return np.ascontiguousarray(image), factor


def padded(image: np.ndarray, padding: float) -> tuple[np.ndarray, int]:
    """Continues an image beyond its borders by repeating the outermost pixels.

    Args:
        image: uint8 (H, W, 3).
        padding: width of the border as a share of the longer side.

    Returns:
        The image with its border, and the border's width in pixels on each side.
    """
    short, long = sorted(image.shape[:2])
    border = round(padding * min(long, _LONGEST * short))
    if not border:
        return image, 0
    return cv2.copyMakeBorder(
        image, border, border, border, border, cv2.BORDER_REPLICATE), border


def windows(shape: tuple[int, ...], halvings: int,
            smallest: int = _SMALLEST_WINDOW) -> list[tuple[int, int, int, int]]:
    """The photograph, and squares of ever half the size that overlap by a half.

    Args:
        shape: of the photograph, (H, W, …).
        halvings: how often the size is halved.
        smallest: sides of windows are at least this long.

    Returns:
        x1, y1, x2, y2 of each in whole pixels, inside of the photograph.
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
    """Returns starts of windows that overlap by half or more and reach the end."""
    if length <= side:
        return [0]
    count = -(-(length - side) // (side // 2)) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def overlap(first: Box, second: Box) -> bool:
    """Returns whether two boxes show one face, or parts of it."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return False
    shared, areas = width * height, [
        (box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return (shared > _SAME_UNION * (sum(areas) - shared)
            or shared > _SAME_INSIDE * min(areas))


def near(guess: Box, face: Box) -> bool:
    """Returns whether a box without landmarks is a rough guess at a face beside it.

    At the limit of what the detector can make out, its boxes are off by their size.
    """
    reach = max(guess[2] - guess[0], guess[3] - guess[1]) / 2
    return (face[0] < guess[2] + reach and face[2] > guess[0] - reach
            and face[1] < guess[3] + reach and face[3] > guess[1] - reach)


def is_same_face(first: FoundFace, second: FoundFace) -> bool:
    """Returns whether the landmarks of two candidates are of one face."""
    if first.landmarks is None or second.landmarks is None:
        return False
    apart = np.abs(first.landmarks.points - second.landmarks.points).max()
    return bool(apart < 0.5 * max(first.landmarks.eye_distance,
                                  second.landmarks.eye_distance))
