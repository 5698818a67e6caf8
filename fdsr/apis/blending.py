"""Blends restored faces into an upsampled photograph."""

import cv2
import numpy as np

from fdsr.geometry.alignment import FaceCrop, resize

#: Standard deviation of the Gaussian in ``match_colour`` in pixels of LR. A smaller one
#: restores the JPEG artefacts that a robust network removes: on JPEG 75, a sigma of 1
#: costs 0.21 dB and 0.014 LPIPS, one of 2 costs 0.05 dB and 0.003. A larger one leaves
#: more of the difference at the border of the mask (docs/restoring.md).
COLOUR_SIGMA = 2.0
#: Exponent of the mask's superellipse; 2 is an ellipse, infinity a square.
EXPONENT = 2.6
#: Radius, as a share of the whole, up to which the mask is 1.
CORE = 0.65


def face_mask(side: int) -> np.ndarray:
    """Returns the mask of an aligned face: a superellipse with a wide soft border.

    It is 1 in the core and falls to 0 at the border of the square along a cosine.

    Args:
        side: side in pixels.

    Returns:
        float32 (side, side).
    """
    centres = np.abs((np.arange(side) + 0.5) / side * 2 - 1) ** EXPONENT
    radius = (centres[:, None] + centres[None]) ** (1 / EXPONENT)
    ramp = np.clip((1 - radius) / (1 - CORE), 0, 1)
    return ((1 - np.cos(np.pi * ramp)) / 2).astype(np.float32)


def match_colour(sr: np.ndarray, lr: np.ndarray, sigma: float = COLOUR_SIGMA
                 ) -> np.ndarray:
    """Replaces the low frequencies of SR by those of LR.

    The difference of both, at LR's size, passes a Gaussian, is upsampled and added.

    Args:
        sr: uint8 (S, S, 3), the network's output.
        lr: uint8 (s, s, 3), its input.
        sigma: standard deviation of the Gaussian in pixels of LR.

    Returns:
        uint8 (S, S, 3).
    """
    size, lr_size = len(sr), len(lr)
    sr = sr.astype(np.float32)
    small = cv2.resize(sr, (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    change = cv2.GaussianBlur(lr - small, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    change = cv2.resize(change, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(sr + change), 0, 255).astype(np.uint8)


def check_strength(strength: float) -> float:
    """Returns a valid strength.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    if not 0 <= strength <= 1:  # NaN fails as well
        raise ValueError(f'Expected a strength from 0 to 1, found {strength}.')
    return float(strength)


def mix(before: np.ndarray, after: np.ndarray, strength: float) -> np.ndarray:
    """Returns ``before`` at strength 0 and ``after`` at strength 1, both uint8."""
    if strength == 1:
        return after
    return np.rint(before + strength * (after.astype(np.float32) - before)
                   ).astype(np.uint8)


def paste(photo: np.ndarray, face: np.ndarray, crop: FaceCrop, scale: int = 1,
          lr: np.ndarray | None = None, strength: float = 1.0) -> None:
    """Pastes a face where it was cut out, in place.

    PIL's bicubic resizes the face to its side in the photograph, because it does not
    alias when it shrinks. The face is then warped, and blended with ``face_mask``.

    Args:
        photo: uint8 (H, W, 3), the photograph upsampled by ``scale``.
        face: uint8 (S, S, 3), the restored crop.
        crop: its position in the photograph before upsampling.
        scale: upsampling factor of ``photo``.
        lr: uint8 (s, s, 3), the network's input, whose colour the face receives, see
            ``match_colour``; None: the face keeps its own.
        strength: weight of the face from 0 to 1.
    """
    side = _side(crop, scale)
    matrix, (left, top, width, height) = _placement(crop, side, scale, photo.shape[:2])
    if width <= 0 or height <= 0:
        return
    face = resize(face if lr is None else match_colour(face, lr), side)
    matrix[:, 2] -= (left, top)
    warped = cv2.warpAffine(face, matrix, (width, height), flags=cv2.INTER_CUBIC,
                            borderMode=cv2.BORDER_REPLICATE)
    mask = strength * _warped_mask(side, matrix, width, height)[..., None]
    window = photo[top:top + height, left:left + width]
    window[...] = np.rint(window + mask * (warped.astype(np.float32) - window))


def placed_mask(crop: FaceCrop, scale: int, shape: tuple[int, int]
                ) -> tuple[tuple[int, int], np.ndarray]:
    """Returns the mask with which ``paste`` blends a face at strength 1.

    Args:
        crop: position of the face in the photograph before upsampling.
        scale: upsampling factor of the photograph.
        shape: height and width of the upsampled photograph.

    Returns:
        Top and left of the covered window, and the float32 (h, w) mask in it, which is
        empty if the face lies outside the photograph.
    """
    side = _side(crop, scale)
    matrix, (left, top, width, height) = _placement(crop, side, scale, shape)
    if width <= 0 or height <= 0:
        return (0, 0), np.zeros((0, 0), np.float32)
    matrix[:, 2] -= (left, top)
    return (top, left), _warped_mask(side, matrix, width, height)


def _warped_mask(side: int, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.warpAffine(face_mask(side), matrix, (width, height),
                          flags=cv2.INTER_LINEAR)


def _side(crop: FaceCrop, scale: int) -> int:
    """Returns the side of a face's square in the upsampled photograph."""
    return max(8, round(crop.side * scale))


def _placement(crop: FaceCrop, side: int, scale: int, shape: tuple[int, int]
               ) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Maps a face of ``side`` pixels to the photograph.

    Returns:
        The (2, 3) matrix between pixels, whose origin is the first pixel's centre, and
        left, top, width and height of the covered window within the photograph.
    """
    to_crop = _scaling(crop.side / side)
    from_crop = np.linalg.inv(np.vstack([crop.matrix, (0, 0, 1)]))
    matrix = (_scaling(scale) @ from_crop @ to_crop)[:2]
    ends = np.array([-0.5, side - 0.5])
    corners = np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2)
    reached = corners @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(reached.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(reached.max(axis=0)) + 1, shape[::-1]).astype(int)
    width, height = (high - low).tolist()
    return matrix, (int(low[0]), int(low[1]), width, height)


def _scaling(factor: float) -> np.ndarray:
    """Returns the (3, 3) matrix to the pixels of an image ``factor`` times as large."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])
