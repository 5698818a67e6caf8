"""Putting restored faces back into their photograph."""

from typing import Tuple

import cv2
import numpy as np

from fdsr.geometry.alignment import FaceCrop

#: How wide the mask's soft border is, as a share of the face's side.
FEATHER = 0.12


def feathered_mask(side: int, feather: float = FEATHER) -> np.ndarray:
    """A square that is 1 inside and falls to 0 at its border along a cosine.

    Args:
        side: in pixels.
        feather: width of the soft border as a share of the side, up to a half.

    Returns:
        float32 (side, side).
    """
    centres = (np.arange(side) + 0.5) / side
    ramp = np.clip(np.minimum(centres, 1 - centres) / feather, 0, 1)
    profile = (1 - np.cos(np.pi * ramp)) / 2
    return np.outer(profile, profile).astype(np.float32)


def paste(photo: np.ndarray, face: np.ndarray, crop: FaceCrop,
          scale: int = 1) -> None:
    """Puts a face back where it was cut out, in place.

    The face is brought to its side in the photograph by PIL's bicubic, which does not
    alias where it shrinks, then turned and shifted, and blended by a feathered mask.

    Args:
        photo: uint8 (H, W, 3), the photograph up-sampled by ``scale``.
        face: uint8 (S, S, 3), what became of the crop.
        crop: where it was cut out of the photograph before up-sampling.
        scale: of ``photo`` to that.
    """
    from PIL import Image
    side = max(8, round(crop.side * scale))
    face = np.asarray(Image.fromarray(face).resize((side, side), Image.BICUBIC))
    matrix, window = _placement(crop, side, scale, photo.shape[:2])
    left, top, width, height = window
    if width <= 0 or height <= 0:
        return
    matrix[:, 2] -= (left, top)
    turned = cv2.warpAffine(face, matrix, (width, height), flags=cv2.INTER_CUBIC,
                            borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(feathered_mask(side), matrix, (width, height),
                          flags=cv2.INTER_LINEAR)[..., None]
    there = photo[top:top + height, left:left + width]
    there[...] = np.rint(there + mask * (turned.astype(np.float32) - there))


def _placement(crop: FaceCrop, side: int, scale: int, shape: Tuple[int, int]
               ) -> Tuple[np.ndarray, Tuple[int, int, int, int]]:
    """From a face of ``side`` pixels to the photograph, and the part that it covers.

    Returns:
        (2, 3) matrix between pixels whose (0, 0) is the first one's centre, and left,
        top, width, height of what is covered, cut off at the photograph's border.
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
    """(3, 3): pixels to pixels of a picture ``factor`` times as large."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])
