"""Reading of image files, shared by datasets and preparation."""
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
    """Makes PIL reject truncated images inside of the block.

    Some packages allow them globally. Half a face would then be completed with grey.
    """
    tolerated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def files_below(folder: Path) -> Iterator[str]:
    """Yields the files in a folder and its subfolders, in a fixed order.

    Hidden files and folders are ignored. Links are followed, but each folder is visited
    only once, so that cyclic links are harmless.

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
    """Returns the message of a decoder's error, or its type if it has no message."""
    return str(error) or type(error).__name__


def open_image(path: Path, name: str, exif: bool = False) -> Image.Image:
    """Reads and decodes an image, see :func:`as_rgb`.

    Args:
        path: The file. Of several frames, the first is used.
        name: Name of the sample for the error.
        exif: Apply the EXIF orientation.

    Returns:
        The decoded RGB image.

    Raises:
        BadSample: The file is missing, truncated, too large, or not an image.
    """
    try:
        with complete_images(), Image.open(path) as file:
            file.load()
            return as_rgb(ImageOps.exif_transpose(file) if exif else file)
    except FileNotFoundError as error:
        raise BadSample(name, f'missing image: {path}') from error
    except Exception as error:  # decoders raise many types for damaged files
        raise BadSample(
            name, f'cannot be decoded: {path} ({said_by(error)})') from error


def read_image(path: Path, name: str, exif: bool = False) -> np.ndarray:
    """Reads an image like :func:`open_image`, as uint8 (H, W, 3), RGB."""
    return np.asarray(open_image(path, name, exif))


def as_rgb(image: Image.Image) -> Image.Image:
    """Converts a decoded image to RGB.

    16 bits are reduced to 8, and transparency is blended with white. An RGB image is
    returned without a copy.

    Raises:
        ValueError: The pixels are floats of unknown range.
    """
    if image.mode == 'F':
        raise ValueError('its pixels are floats of unknown range: convert it to 8 bits')
    if image.mode.startswith('I'):  # PIL would clip at 255, which is nearly white
        deep = np.asarray(image, np.float64) * (255 / 65535)
        return Image.fromarray(deep.round().clip(0, 255).astype(np.uint8)).convert(
            'RGB')
    if 'A' in image.getbands() or 'transparency' in image.info:
        white = Image.new('RGBA', image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image.convert('RGBA')).convert('RGB')
    return image if image.mode == 'RGB' else image.convert('RGB')
