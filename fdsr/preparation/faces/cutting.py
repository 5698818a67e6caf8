"""One listed image becomes one face, or the reason why not."""
from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fdsr.datasets.base import BadSample
from fdsr.datasets.reading import read_image
from fdsr.datasets.vggface2_index import USABLE, FaceIndex
from fdsr.geometry import alignment
from fdsr.preparation.faces.measures import dhash, sharpness, thumbnail
from fdsr.preparation.faces.settings import Settings

#: Why an image is left out, as reports count it.
KINDS = ('not listed well', 'unreadable', 'no cut', 'small', 'blurred', 'duplicate')
LISTED, UNREADABLE, NO_CUT, SMALL, BLURRED, DUPLICATE = KINDS


class Skipped(Exception):
    """An image that becomes no face.

    Args:
        kind: One of :data:`KINDS`.
        reason: What is wrong with it, in words that help to fix it.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, ' '.join(reason.split())


class Face(NamedTuple):
    """A face as it is written: HR, and the values of its record."""

    img: np.ndarray
    values: dict[str, Any]


class FaceCutter:
    """Makes faces of the rows of an index.

    Args:
        index: All listed images.
        images: Folder that their paths start from.
        settings: What is asked.
    """

    def __init__(self, index: FaceIndex, images: Path, settings: Settings) -> None:
        self.index, self.images, self.settings = index, images, settings

    def cut(self, row: int) -> Face:
        """Read, cut, resize and measure one face.

        Raises:
            Skipped: It is left out.
        """
        settings = self.settings
        self._check_row(row)
        image = self._read(row)
        size = image.shape[1], image.shape[0]
        try:
            crop = self._crop(row, size)
        except ValueError as error:
            raise Skipped(NO_CUT, str(error)) from error
        if crop.side < settings.min_side:
            raise Skipped(SMALL, f'its cut is {crop.side} px wide in the image, less '
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
        """The image as its landmarks see it: turned by EXIF or not."""
        path = self.images / self.index.path(row)
        try:
            return read_image(path, self.index.name(row), self.settings.exif)
        except BadSample as error:
            reason = error.reason.replace(f'{self.images}/', '')
            raise Skipped(UNREADABLE, reason) from error

    def _check_row(self, row: int) -> None:
        """Raise Skipped for what the list alone tells."""
        status = int(self.index.status[row])
        if status != USABLE:
            raise Skipped(LISTED, self.index.reason(status))
        name = self.index.name(row)
        if name.startswith('/') or '..' in name.split('/'):
            raise Skipped(LISTED, 'its name leads out of the folder')
        shorter = float(self.index.boxes[row, 2:].min())
        if shorter < self.settings.min_box_side:
            raise Skipped(SMALL, f'its box is {shorter:g} px wide, less than '
                                 f'{self.settings.min_box_side:g}')

    def _crop(self, row: int, image_size: tuple[int, int]) -> alignment.FaceCrop:
        box = self.index.boxes[row]
        if self.settings.align == 'box':
            return alignment.box_crop(box, image_size, self.settings.crop_scale)
        # not needed for the cut, but it tells a row that is another image's
        alignment.check_box(box, image_size)
        return alignment.five_point_crop(self.index.landmarks[row], image_size,
                                         self.settings.eye_share)
