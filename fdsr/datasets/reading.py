"""Images out of files, as every tool that prepares or reads data sees them."""
from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Iterator

import numpy as np
from PIL import Image, ImageFile, ImageOps

from fdsr.datasets.base import BadSample


@contextlib.contextmanager
def complete_images() -> Iterator[None]:
    """Have PIL refuse truncated images, whatever else this process wants of it.

    Some packages switch the opposite on for the whole process: half a face would then
    come back as a whole one with a grey rest.
    """
    tolerated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def files_below(folder: Path) -> Iterator[str]:
    """Paths of all files in a folder and the folders in it, in a fixed order.

    Hidden files and folders are passed over. Links are followed, but each folder is
    looked into once, so that those that lead back do no harm.

    Yields:
        Paths relative to the folder, with slashes.
    """
    seen: set[tuple[int, int]] = set()
    for inside, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(inside)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        prefix = Path(os.path.relpath(inside, folder)).as_posix()
        for name in sorted(files):
            if not name.startswith('.'):
                yield name if prefix == '.' else f'{prefix}/{name}'


def said_by(error: Exception) -> str:
    """What a decoder's error says, its kind if it says nothing."""
    return str(error) or type(error).__name__


def open_image(path: Path, name: str, exif: bool = False) -> Image.Image:
    """Read an image, whole; see :func:`as_rgb`.

    Args:
        path: The file; of several images in it, the first is taken.
        name: The sample's name, for the error.
        exif: Turn it by its EXIF orientation; otherwise it stays as it lies in the
            file.

    Returns:
        The image, RGB, decoded.

    Raises:
        BadSample: There is no such file, it is truncated, too large, or no image.
    """
    try:
        with complete_images(), Image.open(path) as file:
            file.load()
            return as_rgb(ImageOps.exif_transpose(file) if exif else file)
    except FileNotFoundError as error:
        raise BadSample(name, f'no such image: {path}') from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise BadSample(
            name, f'cannot be decoded: {path} ({said_by(error)})') from error


def read_image(path: Path, name: str, exif: bool = False) -> np.ndarray:
    """:func:`open_image`'s image as uint8 (H, W, 3), RGB."""
    return np.asarray(open_image(path, name, exif))


def as_rgb(image: Image.Image) -> Image.Image:
    """A decoded image as RGB: 16 bits become 8, transparency is put on white.

    An RGB image is returned as it is, without a copy.

    Raises:
        ValueError: Its pixels are floats, whose white is not known.
    """
    if image.mode == 'F':
        raise ValueError('its pixels are floats, and what is white is not known: '
                         'convert it to 8 bits')
    if image.mode.startswith('I'):  # PIL itself would cut off above 255: nearly white
        deep = np.asarray(image, np.float64) * (255 / 65535)
        return Image.fromarray(deep.round().clip(0, 255).astype(np.uint8)).convert(
            'RGB')
    if 'A' in image.getbands() or 'transparency' in image.info:
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image.convert('RGBA')).convert('RGB')
    return image if image.mode == 'RGB' else image.convert('RGB')
