"""Cuts the faces out of a photograph and puts the restored ones back."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from fdsr.apis.blending import paste, placed_mask
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
    """A photograph with restored faces, or one restored aligned face.

    Args:
        image: uint8 (scale · H, scale · W, 3), the photograph upsampled by bicubic
            interpolation, with the restored faces blended in; or uint8 (S, S, 3), the
            restored aligned face.
        faces: every face found, the largest first.
        kind: ``photo`` or ``face``.
        scale: upsampling factor of the photograph.
        strength: weight of the restored faces from 0 to 1.
    """

    image: np.ndarray
    faces: list[PhotoFace]
    kind: str = 'photo'
    scale: int = 1
    strength: float = 1.0

    @property
    def num_restored(self) -> int:
        """Number of restored faces."""
        return sum(face.restored for face in self.faces)

    def mask(self) -> np.ndarray:
        """Returns the weight of the restored faces in each pixel of ``image``.

        Returns:
            float32 (H, W) from 0, where the image was only upsampled, to ``strength``,
            or more where faces overlap.
        """
        shape = self.image.shape[:2]
        if self.kind == 'face':
            return np.full(shape, self.strength, np.float32)
        kept = np.ones(shape, np.float32)
        for face in self.faces:
            if face.restored:
                (top, left), weight = placed_mask(face.crop, self.scale, shape)
                height, width = weight.shape
                kept[top:top + height, left:left + width] *= 1 - self.strength * weight
        return 1 - kept

    def summary(self) -> str:
        """Returns the numbers of faces as a sentence."""
        if self.kind == 'face':
            return 'The aligned face was restored.'
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


def largest_side(lr_size: int, large_faces: bool, max_face: float | None
                 ) -> float | None:
    """Returns the side in pixels of the largest face to restore; None: no limit.

    Args:
        lr_size: side of the network's LR.
        large_faces: no limit unless ``max_face`` sets one.
        max_face: the limit; None: 1.5 times LR.

    Raises:
        ValueError: ``max_face`` is not positive.
    """
    if max_face is None:
        return None if large_faces else LARGEST_FACE * lr_size
    if not max_face > 0:  # NaN fails as well
        raise ValueError(f'Expected a positive max_face in pixels, found {max_face}.')
    return max_face


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


def paste_faces(photo: np.ndarray, faces: list[PhotoFace], scale: int,
                strength: float = 1.0) -> np.ndarray:
    """Returns the upsampled photograph with its restored faces, the largest on top.

    Args:
        photo: uint8 (H, W, 3).
        faces: its faces; those with ``sr`` are pasted.
        scale: upsampling factor.
        strength: weight of the restored faces from 0 to 1.

    Returns:
        uint8 (scale · H, scale · W, 3).
    """
    from PIL import Image
    height, width = photo.shape[:2]
    result = np.array(Image.fromarray(photo).resize(
        (width * scale, height * scale), Image.BICUBIC))
    for face in sorted(faces, key=lambda face: face.side):
        if face.sr is not None:
            paste(result, face.sr, face.crop, scale, face.lr, strength)
    return result
