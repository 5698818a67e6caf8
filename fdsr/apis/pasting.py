"""Pastes restored faces back into their photograph."""

import cv2
import numpy as np

from fdsr.geometry.alignment import FaceCrop

#: Width of the mask's soft border as a share of the face's side.
FEATHER = 0.12


def feathered_mask(side: int, feather: float = FEATHER) -> np.ndarray:
    """Returns a square mask that is 1 inside and falls to 0 at its border.

    The border follows a cosine.

    Args:
        side: side in pixels.
        feather: width of the soft border as a share of the side, up to 0.5.

    Returns:
        float32 (side, side).
    """
    centres = (np.arange(side) + 0.5) / side
    ramp = np.clip(np.minimum(centres, 1 - centres) / feather, 0, 1)
    profile = (1 - np.cos(np.pi * ramp)) / 2
    return np.outer(profile, profile).astype(np.float32)


def paste(photo: np.ndarray, face: np.ndarray, crop: FaceCrop,
          scale: int = 1) -> None:
    """Pastes a face where it was cut out, in place.

    PIL's bicubic resizes the face to its side in the photograph, because it does not
    alias when it shrinks. The face is then warped, and blended with a feathered mask.

    Args:
        photo: uint8 (H, W, 3), the photograph upsampled by ``scale``.
        face: uint8 (S, S, 3), the restored crop.
        crop: its position in the photograph before upsampling.
        scale: upsampling factor of ``photo``.
    """
    from PIL import Image
    side = max(8, round(crop.side * scale))
    face = np.asarray(Image.fromarray(face).resize((side, side), Image.BICUBIC))
    matrix, (left, top, width, height) = _placement(crop, side, scale, photo.shape[:2])
    if width <= 0 or height <= 0:
        return
    matrix[:, 2] -= (left, top)
    warped = cv2.warpAffine(face, matrix, (width, height), flags=cv2.INTER_CUBIC,
                            borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(feathered_mask(side), matrix, (width, height),
                          flags=cv2.INTER_LINEAR)[..., None]
    window = photo[top:top + height, left:left + width]
    window[...] = np.rint(window + mask * (warped.astype(np.float32) - window))


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
