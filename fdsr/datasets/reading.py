"""Reading of image files, the same for datasets, preparation, the API and the page."""
from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, features

from fdsr.datasets.base import BadSample
from fdsr.datasets.colour import as_rgb
from fdsr.datasets.image_formats import (
    HEAD,
    KINDS,
    Damaged,
    check_file,
    check_pixels,
    described,
    format_of,
)
from fdsr.utils import storage

#: Limits of an image: pixels, longer side, and bytes of its file. OpenCV and MediaPipe
#: abort on sides from 32,767 px.
MOST_PIXELS, MOST_SIDE, MOST_BYTES = 200_000_000, 32_766, 2**31
#: Larger JPEGs are checked at an eighth of their size before memory is taken for them.
_LARGE = 10_000_000
_ONE_AT_A_TIME = threading.RLock()
#: Warnings of libjpeg about files of common cameras, which lack no pixel.
_HARMLESS = re.compile(r'Invalid SOS parameters|Adobe color transform|'
                       r'Corrupt JPEG data: [1-4] extraneous bytes before marker 0xd9')
#: Formats of PIL by the recognised one; phones write JPEGs with several images as MPO.
_PLUGINS = {'JPEG': ('JPEG', 'MPO')}


class BadImage(ValueError):
    """Raised for an input that is not an image, or not a usable one."""


@contextlib.contextmanager
def complete_images() -> Iterator[None]:
    """Makes PIL reject truncated images inside of the block.

    Some packages allow them globally. Half a face would then be completed with grey.
    The setting belongs to the process, so one thread at a time enters the block.
    """
    with _ONE_AT_A_TIME:
        tolerated = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
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
    if storage.is_remote(folder):
        yield from storage.files_below(folder)
        return
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
    """Reads and decodes an image of a dataset, see :func:`decode`.

    Args:
        path: The file. Of several frames, the first is used.
        name: Name of the sample for the error.
        exif: Apply the EXIF orientation.

    Returns:
        The decoded sRGB image.

    Raises:
        BadSample: The file is missing, damaged, too large, or not an image.
    """
    try:
        return decode(read_file(path), exif)
    except FileNotFoundError as error:
        raise BadSample(name, f'missing image: {path}') from error
    except (BadImage, OSError) as error:
        raise BadSample(
            name, f'cannot be decoded: {path} ({said_by(error)})') from error


def read_image(path: Path, name: str, exif: bool = False) -> np.ndarray:
    """Reads an image like :func:`open_image`, as uint8 (H, W, 3), sRGB."""
    return np.asarray(open_image(path, name, exif))


def read_file(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Returns the bytes of an image file.

    Args:
        path: A path or URL.
        most: Maximum number of bytes.

    Raises:
        BadImage: It is a folder or a device, or has over ``most`` bytes.
        OSError: It cannot be opened.
        StorageError: The remote storage does not answer, or permits no access.
    """
    if storage.is_remote(path):
        return _read_remote(path, most)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would block
        raise BadImage('it is not a file')
    if status.st_size > most:
        raise BadImage(f'it has {status.st_size / 1e6:.1f} MB, at most '
                       f'{most / 1e6:.0f} MB are supported')
    with open(path, 'rb') as file:
        return file.read()


def _read_remote(path: Any, most: int) -> bytes:
    try:
        content = storage.read_bytes(path, most + 1)
    except storage.StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise
    if len(content) > most:
        raise BadImage(f'it has more than {most / 1e6:.0f} MB')
    return content


def read_head(path: str | Path) -> bytes:
    """Returns as many bytes of a file as show its format; none if it has no bytes.

    Raises:
        OSError: The file cannot be opened.
    """
    if storage.is_remote(path):
        return storage.read_bytes(path, HEAD)
    if not stat.S_ISREG(os.stat(path).st_mode):
        return b''
    with open(path, 'rb') as file:
        return file.read(HEAD)


def format_at(path: str | Path) -> str | None:
    """Returns the format of an image file, or None if it is not a readable image."""
    try:
        return format_of(read_head(path))
    except OSError:  # a broken link
        return None


def decode(content: bytes, exif: bool = False) -> Image.Image:
    """Decodes an image file, see :func:`as_rgb` for its colours.

    The format is recognised by the content. Damaged files are refused: warnings of the
    decoders count as errors, and end markers and checksums are verified.

    Args:
        content: The whole file. Of several frames, the first is used.
        exif: Apply the EXIF orientation.

    Returns:
        The decoded sRGB image.

    Raises:
        BadImage: The file is damaged, too large, or not an image. The message does not
            have its name.
    """
    kind = format_of(content[:HEAD])
    with strict_decoders(kind):
        try:
            with opened(content) as file:
                check_file(kind, content, file.size)
                image = _pixels(kind, content, file)
                image = ImageOps.exif_transpose(image) if exif else image
        except (BadImage, MemoryError):
            raise
        except Exception as error:  # decoders raise many types for damaged files
            raise BadImage(f'it is damaged ({said_by(error)})') from error
        try:
            return as_rgb(image)
        except ValueError as error:
            raise BadImage(said_by(error)) from error


def opened(content: bytes) -> Image.Image:
    """Opens an image file with PIL, which reads its header, and checks its size.

    Raises:
        BadImage: It is not a supported image, or too large.
        Exception: Whatever a decoder raises for a damaged header.
    """
    kind = format_of(content[:HEAD])
    if kind is None:
        raise BadImage(f'it is {described(content[:HEAD])}; expected {KINDS}')
    if kind == 'HEIF':
        _register_heif()
    if kind == 'AVIF' and not features.check('avif'):
        raise BadImage('AVIF needs Pillow 11.3 or later: pip install -U pillow')
    try:
        image = Image.open(io.BytesIO(content), formats=_PLUGINS.get(kind, (kind,)))
    except Image.DecompressionBombError as error:
        raise BadImage(f'it has too many pixels ({error}) Make it smaller') from error
    except Image.UnidentifiedImageError as error:
        raise BadImage(f'it is damaged ({kind} header), or its pixel format is '
                       'unsupported') from error
    check_size(*image.size)
    return image


def check_size(width: int, height: int) -> None:
    """Checks the size of an image before memory is taken for it.

    Raises:
        BadImage: It exceeds ``MOST_PIXELS`` or ``MOST_SIDE``.
    """
    if max(width, height) > MOST_SIDE:
        raise BadImage(f'it has {width}x{height} pixels; at most {MOST_SIDE:,} pixels '
                       'per side are supported. Make it smaller')
    if width * height > MOST_PIXELS:
        raise BadImage(f'it has {width}x{height} pixels; at most '
                       f'{MOST_PIXELS / 1e6:.0f} million are supported. Make it '
                       'smaller')


@contextlib.contextmanager
def strict_decoders(kind: str | None) -> Iterator[None]:
    """Makes PIL refuse truncated images, and TIFFs that it warns about.

    Elsewhere its warnings are about EXIF data and size.
    """
    with complete_images(), warnings.catch_warnings():
        warnings.simplefilter('error' if kind == 'TIFF' else 'ignore')
        warnings.filterwarnings('ignore', 'Metadata Warning')
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        yield


def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise BadImage('it is a HEIC image, which needs the package pillow-heif: '
                       'pip install "fdsr[heif]"') from error
    register_heif_opener()


def _pixels(kind: str, content: bytes, file: Image.Image) -> Image.Image:
    """Returns the decoded image with its ICC profile and EXIF data."""
    if kind == 'JPEG':
        return _jpeg(content, file)
    from_bottom = kind == 'BMP' and int.from_bytes(
        content[22:26], 'little', signed=True) > 0
    file.load()
    check_pixels(kind, np.asarray(file), from_bottom)
    return file


def _jpeg(content: bytes, file: Image.Image) -> Image.Image:
    """Decodes a JPEG with libjpeg's warnings as errors, which PIL drops.

    The pixels equal PIL's, whose decoder is the same.
    """
    from simplejpeg import decode_jpeg
    space = {'RGB': 'RGB', 'L': 'GRAY', 'CMYK': 'CMYK'}[file.mode]

    def decoded(factor: int) -> np.ndarray:
        # without these, simplejpeg decodes at full size
        options = {} if factor == 1 else dict(
            min_height=1, min_width=1, min_factor=factor)
        try:
            return decode_jpeg(content, space, **options)
        except ValueError as error:
            if not _HARMLESS.search(str(error)):
                raise Damaged(str(error)) from error
        return decode_jpeg(content, space, strict=False, **options)

    if file.width * file.height > _LARGE:
        decoded(8)
    pixels = decoded(1)
    if file.mode == 'CMYK':  # Adobe's files are inverted, which PIL knows
        file.load()
        return file
    image = Image.fromarray(pixels[..., 0] if space == 'GRAY' else pixels)
    image.info = file.info
    return image
