"""Restoring the faces of a whole photograph."""

from dataclasses import dataclass, field
from enum import Enum
from typing import List, Optional, Tuple

import numpy as np

from fdsr.apis.images import MOST_PIXELS, BadImage
from fdsr.apis.pasting import paste
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

#: What faces have to be for a network with LR of ``lr_size``: this many times as large.
SMALLEST_FACE, LARGEST_FACE = 0.5, 1.5
#: A face of which more lies outside of the photograph is left as it is.
_MOST_OUTSIDE = 0.5
SCALES = range(1, 9)


class FaceStatus(str, Enum):
    """What became of a face."""

    RESTORED = 'restored'
    TOO_SMALL = 'too small'
    LARGE_ENOUGH = 'large enough'
    NO_LANDMARKS = 'no landmarks'
    CUT_OFF = 'cut off'


@dataclass
class PhotoFace:
    """A face of a photograph, and what became of it.

    Args:
        box: (x1, y1, x2, y2) in pixels of the photograph as it came in.
        status: whether it was restored, or why not.
        message: the same in a sentence.
        landmarks: float32 (5, 2) in the same pixels, None where none were found.
        side: of the aligned square around it, in the same pixels; 0 without landmarks.
        lr: uint8 (s, s, 3), what the network was given; None if it was not.
        sr: uint8 (S, S, 3), what it made of it; None if it was not restored.
    """

    box: Tuple[float, float, float, float]
    status: FaceStatus
    message: str
    landmarks: Optional[np.ndarray] = None
    side: int = 0
    lr: Optional[np.ndarray] = None
    sr: Optional[np.ndarray] = None
    crop: Optional[FaceCrop] = field(default=None, repr=False)

    @property
    def restored(self) -> bool:
        """Whether it was."""
        return self.status is FaceStatus.RESTORED


@dataclass
class RestoredPhoto:
    """A photograph with restored faces.

    Args:
        image: uint8 (scale · H, scale · W, 3): bicubically up-sampled, with the
            restored faces in it.
        faces: every face that was found, the largest first.
    """

    image: np.ndarray
    faces: List[PhotoFace]

    @property
    def num_restored(self) -> int:
        """How many faces were restored."""
        return sum(face.restored for face in self.faces)

    def summary(self) -> str:
        """The numbers of faces in a sentence."""
        if not self.faces:
            return 'No face was found: the photograph was only up-sampled.'
        left = [face.status.value for face in self.faces if not face.restored]
        reasons = ', '.join(f'{left.count(reason)} {reason}'
                            for reason in sorted(set(left)))
        return (f'{self.num_restored} of {len(self.faces)} faces restored'
                + (f'; left as they are: {reasons}.' if left else '.'))


def check_scale(scale: int, shape: Tuple[int, ...]) -> int:
    """Returns a scale that a photograph can be brought to.

    Raises:
        ValueError: it is no whole number from 1 to 8.
        BadImage: the photograph would get larger than ``MOST_PIXELS``.
    """
    if scale not in SCALES:
        raise ValueError(f'scale has to be a whole number from 1 to 8, found {scale}.')
    pixels = shape[0] * shape[1] * scale**2
    if pixels > MOST_PIXELS:
        raise BadImage(
            f'A photograph of {shape[1]}x{shape[0]} pixels at scale {scale} would have '
            f'{pixels / 1e6:.0f} million pixels; at most {MOST_PIXELS / 1e6:.0f} '
            'million can be made. Take a smaller scale.')
    return int(scale)


def cut_faces(photo: np.ndarray, found: List[FoundFace], lr_size: int,
              eye_share: float, largest: Optional[float]) -> List[PhotoFace]:
    """Cuts the faces out that can be restored; ``status`` tells which.

    Args:
        photo: uint8 (H, W, 3).
        found: its faces.
        lr_size: side of the network's LR.
        eye_share: of the network's faces.
        largest: side in pixels from which on a face is left as it is; None for none.

    Returns:
        One for each that was found; those with ``lr`` can be restored.
    """
    return [_cut_face(photo, face, lr_size, eye_share, largest) for face in found]


def _cut_face(photo: np.ndarray, found: FoundFace, lr_size: int, eye_share: float,
              largest: Optional[float]) -> PhotoFace:
    if found.landmarks is None:
        return PhotoFace(found.box, FaceStatus.NO_LANDMARKS,
                         'Its eyes, nose and mouth could not be found.')
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
                        f'{lr_size} px, so detail that is there would be lost.')
    elif padded_share(crop, size) > _MOST_OUTSIDE:
        face.status = FaceStatus.CUT_OFF
        face.message = 'More than half of it lies outside of the photograph.'
    else:
        face.lr = resize(cut(photo, crop), lr_size)
    return face


def boxes_of(faces: List[PhotoFace], size: int) -> np.ndarray:
    """(N, 4, 4) component boxes of cut-out faces, in pixels of SR."""
    points = [move_points(face.landmarks, face.crop, size) for face in faces]
    return boxes_from_five_points(np.stack(points), size)


def paste_faces(photo: np.ndarray, faces: List[PhotoFace], scale: int) -> np.ndarray:
    """The up-sampled photograph with its restored faces, the largest on top.

    Args:
        photo: uint8 (H, W, 3).
        faces: with ``sr`` where they were restored.
        scale: of the result.

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
