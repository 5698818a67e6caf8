"""Cuts the faces out of a photograph and pastes the restored ones back."""

from dataclasses import dataclass, field
from enum import Enum

import cv2
import numpy as np

from fdsr.apis.images import MOST_PIXELS, BadImage
from fdsr.geometry.alignment import (
    FaceCrop,
    cut,
    five_point_crop,
    move_points,
    padded_share,
    resize,
)
from fdsr.geometry.components import boxes_from_five_points
from fdsr.landmarks import FoundFace

#: Range of the faces that are restored, in sides of LR.
SMALLEST_FACE, LARGEST_FACE = 0.5, 1.5
#: Faces with a larger share outside the photograph are left unchanged.
_MOST_OUTSIDE = 0.5
SCALES = range(1, 9)
#: Width of the mask's soft border as a share of the face's side.
FEATHER = 0.12


class FaceStatus(str, Enum):
    """Outcome of a face of a photograph."""

    RESTORED = 'restored'
    TOO_SMALL = 'too small'
    LARGE_ENOUGH = 'large enough'
    NO_LANDMARKS = 'no landmarks'
    CUT_OFF = 'cut off'


@dataclass
class PhotoFace:
    """A face found in a photograph.

    Args:
        box: (x1, y1, x2, y2) in pixels of the input photograph.
        status: restored, or the reason why not.
        message: the status as a sentence.
        landmarks: float32 (5, 2) in the same pixels; None if none were found.
        side: side of its aligned square in the same pixels; 0 without landmarks.
        lr: uint8 (s, s, 3), the network's input; None if the face was skipped.
        sr: uint8 (S, S, 3), the network's output; None if the face was skipped.
        crop: its aligned square; None without landmarks.
    """

    box: tuple[float, float, float, float]
    status: FaceStatus
    message: str
    landmarks: np.ndarray | None = None
    side: int = 0
    lr: np.ndarray | None = None
    sr: np.ndarray | None = None
    crop: FaceCrop | None = field(default=None, repr=False)

    @property
    def restored(self) -> bool:
        """True if the face was restored."""
        return self.status is FaceStatus.RESTORED


@dataclass
class RestoredPhoto:
    """A photograph with restored faces.

    Args:
        image: uint8 (scale · H, scale · W, 3), upsampled by bicubic interpolation, with
            the restored faces pasted in.
        faces: every face found, the largest first.
    """

    image: np.ndarray
    faces: list[PhotoFace]

    @property
    def num_restored(self) -> int:
        """Number of restored faces."""
        return sum(face.restored for face in self.faces)

    def summary(self) -> str:
        """Returns the numbers of faces as a sentence."""
        if not self.faces:
            return 'No face was found: the photograph was only upsampled.'
        left = [face.status.value for face in self.faces if not face.restored]
        reasons = ', '.join(f'{left.count(reason)} {reason}'
                            for reason in sorted(set(left)))
        return (f'{self.num_restored} of {len(self.faces)} faces restored'
                + (f'; left unchanged: {reasons}.' if left else '.'))


def check_scale(scale: int, shape: tuple[int, ...]) -> int:
    """Returns a valid scale for a photograph of shape (H, W, 3).

    Raises:
        ValueError: the scale is not a whole number from 1 to 8.
        BadImage: the result would have over ``MOST_PIXELS`` pixels.
    """
    if scale not in SCALES:
        raise ValueError(f'Expected a whole number from 1 to 8, found scale={scale}.')
    pixels = shape[0] * shape[1] * scale**2
    if pixels > MOST_PIXELS:
        raise BadImage(
            f'A photograph of {shape[1]}x{shape[0]} pixels at scale {scale} would have '
            f'{pixels / 1e6:.0f} million pixels; at most {MOST_PIXELS / 1e6:.0f} '
            'million are supported. Use a smaller scale.')
    return int(scale)


def cut_face(photo: np.ndarray, found: FoundFace, lr_size: int, eye_share: float,
             largest: float | None) -> PhotoFace:
    """Cuts out a face, if it can be restored.

    Args:
        photo: uint8 (H, W, 3).
        found: a face in it.
        lr_size: side of the network's LR.
        eye_share: distance of the eyes in the network's faces, as a share of the side.
        largest: side in pixels from which on faces are left unchanged; None: no limit.

    Returns:
        The face; ``lr`` is set if it can be restored, else ``status`` says why not.
    """
    if found.landmarks is None:
        return PhotoFace(found.box, FaceStatus.NO_LANDMARKS,
                         'No landmarks were found in it.')
    points, size = found.landmarks.points, photo.shape[1::-1]
    try:
        crop = five_point_crop(points, size, eye_share)
    except ValueError as error:
        return PhotoFace(found.box, FaceStatus.CUT_OFF,
                         f'It cannot be cut out: {error}.', points)
    face = PhotoFace(found.box, FaceStatus.RESTORED, 'Restored.', points, crop.side,
                     crop=crop)
    if crop.side < SMALLEST_FACE * lr_size:
        face.status = FaceStatus.TOO_SMALL
        face.message = (f'Its square has {crop.side} px; at least '
                        f'{SMALLEST_FACE * lr_size:.0f} are needed.')
    elif largest is not None and crop.side > largest:
        face.status = FaceStatus.LARGE_ENOUGH
        face.message = (f'Its square has {crop.side} px. The network would see it at '
                        f'{lr_size} px, so detail would be lost.')
    elif padded_share(crop, size) > _MOST_OUTSIDE:
        face.status = FaceStatus.CUT_OFF
        face.message = 'More than half of it lies outside the photograph.'
    else:
        face.lr = resize(cut(photo, crop), lr_size)
    return face


def boxes_of(faces: list[PhotoFace], size: int) -> np.ndarray:
    """Returns (N, 4, 4) component boxes of aligned faces, in pixels of SR."""
    points = [move_points(face.landmarks, face.crop, size) for face in faces]
    return boxes_from_five_points(np.stack(points), size)


def paste_faces(photo: np.ndarray, faces: list[PhotoFace], scale: int) -> np.ndarray:
    """Returns the upsampled photograph with its restored faces, the largest on top.

    Args:
        photo: uint8 (H, W, 3).
        faces: its faces; those with ``sr`` are pasted.
        scale: upsampling factor.

    Returns:
        uint8 (scale · H, scale · W, 3).
    """
    from PIL import Image
    height, width = photo.shape[:2]
    result = np.array(Image.fromarray(photo).resize(
        (width * scale, height * scale), Image.BICUBIC))
    for face in sorted(faces, key=lambda face: face.side):
        if face.sr is not None:
            paste(result, face.sr, face.crop, scale)
    return result


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
    side = max(8, round(crop.side * scale))
    face = resize(face, side)
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
