"""Conversion of a listed image to a face, or to the reason for skipping it."""
from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from fdsr.datasets.base import BadSample
from fdsr.datasets.reading import read_image
from fdsr.datasets.vggface2_index import USABLE, FaceIndex
from fdsr.geometry import alignment
from fdsr.preparation.faces.settings import Settings

#: Categories of skipped images in reports.
KINDS = ('not listed well', 'unreadable', 'no cut', 'small', 'blurred', 'duplicate')
LISTED, UNREADABLE, NO_CUT, SMALL, BLURRED, DUPLICATE = KINDS


class Skipped(Exception):
    """Raised for an image that is skipped.

    Args:
        kind: One of :data:`KINDS`.
        reason: Description of the problem.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, ' '.join(reason.split())


class Face(NamedTuple):
    """HR image and record of a face."""

    img: np.ndarray
    values: dict[str, Any]


class FaceCutter:
    """Converter of rows of an index to faces.

    Args:
        index: Index of all listed images.
        images: Root folder of the images.
        settings: Settings of the preparation.
    """

    def __init__(self, index: FaceIndex, images: Path, settings: Settings) -> None:
        self.index, self.images, self.settings = index, images, settings

    def cut(self, row: int) -> Face:
        """Reads, crops, resizes and measures one face.

        Raises:
            Skipped: The face is skipped.
        """
        settings = self.settings
        self._check_row(row)
        image = self._read(row)
        size = image.shape[1], image.shape[0]
        try:
            crop = alignment.face_crop(
                self.index.boxes[row], self.index.landmarks[row], size,
                settings.align != 'box', settings.crop_scale, settings.eye_share)
        except ValueError as error:
            raise Skipped(NO_CUT, str(error)) from error
        if crop.side < settings.min_side:
            raise Skipped(SMALL, f'its crop is {crop.side} px wide in the image, less '
                                 f'than {settings.min_side:g}')
        img = alignment.resize(alignment.cut(image, crop), settings.size)
        sharp = sharpness(img)
        if sharp < settings.min_sharpness:
            raise Skipped(BLURRED, f'the variance of its Laplacian is {sharp:.1f}, '
                                   f'less than {settings.min_sharpness:g}')
        points = alignment.move_points(self.index.landmarks[row], crop, settings.size)
        return Face(img, dict(
            landmarks=points, side=crop.side, sharpness=sharp, hash=dhash(img),
            thumbnail=thumbnail(img), padded=alignment.padded_share(crop, size)))

    def _read(self, row: int) -> np.ndarray:
        """Reads an image with or without its EXIF orientation."""
        path = self.images / self.index.path(row)
        try:
            return read_image(path, self.index.name(row), self.settings.exif)
        except BadSample as error:
            reason = error.reason.replace(f'{self.images}/', '')
            raise Skipped(UNREADABLE, reason) from error

    def _check_row(self, row: int) -> None:
        """Raises Skipped for problems that the index shows."""
        status = int(self.index.status[row])
        if status != USABLE:
            raise Skipped(LISTED, self.index.reason(status))
        name = self.index.name(row)
        if name.startswith('/') or '..' in name.split('/'):
            raise Skipped(LISTED, 'its name points outside of the folder')
        shorter = float(self.index.boxes[row, 2:].min())
        if shorter < self.settings.min_box_side:
            raise Skipped(SMALL, f'its box is {shorter:g} px wide, less than '
                                 f'{self.settings.min_box_side:g}')


def sharpness(img: np.ndarray) -> float:
    """Returns the variance of the Laplacian of the luma (4 neighbours, no border).

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        0 for a uniform image; increases with fine detail and noise.
    """
    luma = np.asarray(Image.fromarray(img).convert('L'))
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)[1:-1, 1:-1]
    return float(laplacian.var(dtype=np.float64)) if laplacian.size else 0.0


def dhash(img: np.ndarray) -> int:
    """Returns a 64-bit difference hash: compares 8x8 cells with their right neighbours.

    Scaling, JPEG and small changes of brightness preserve most bits. A mirrored image
    has a different hash.

    Args:
        img: uint8 (H, W, 3), RGB.
    """
    small = Image.fromarray(img).convert('L').resize((9, 8), Image.BOX)
    cells = np.asarray(small, np.int16)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    return int.from_bytes(bits.tobytes(), 'big')


def thumbnail(img: np.ndarray) -> np.ndarray:
    """Returns the luma in 16x16 cells, to distinguish copies from other faces.

    Aligned faces have similar difference hashes: of pairs of different people, about
    one in several thousand differs in at most 4 bits. Thumbnails distinguish them.

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (256,).
    """
    small = Image.fromarray(img).convert('L').resize((16, 16), Image.BOX)
    return np.asarray(small).ravel()
