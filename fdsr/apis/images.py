"""Converts images from files, PIL and numpy to uint8 RGB arrays."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.datasets.reading import as_rgb, complete_images, said_by

#: Suffixes of the images in a folder.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
#: Larger images are refused.
MOST_PIXELS = 200_000_000
_ORDERS = ('rgb', 'bgr')


class BadImage(ValueError):
    """Raised for an input that is not an image, or not a usable one."""


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image and applies its EXIF orientation.

    Args:
        path: the file.

    Returns:
        uint8 (H, W, 3) RGB. Transparency becomes white; 16 bits become 8.

    Raises:
        FileNotFoundError: the file does not exist.
        BadImage: it is not an image, is truncated, or has over ``MOST_PIXELS`` pixels.
    """
    from PIL import Image
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no image at {path}.')
    try:
        with warnings.catch_warnings(), complete_images():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise BadImage(
                        f'{path} has {image.width}x{image.height} pixels; at most '
                        f'{MOST_PIXELS / 1e6:.0f} million are supported. Make it '
                        'smaller.')
                return from_pil(image)
    except BadImage:
        raise
    except Image.DecompressionBombError as error:  # PIL's own limit, on opening
        raise BadImage(
            f'{path} cannot be read as an image: it has too many pixels ({error}) '
            'Make it smaller.') from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise BadImage(
            f'{path} cannot be read as an image ({said_by(error)}). It may be '
            'truncated, or have the wrong suffix.') from error


def from_pil(image: Any) -> np.ndarray:
    """Converts a PIL image to uint8 (H, W, 3) RGB and applies its EXIF orientation.

    Float images are read as values in [0, 255].
    """
    from PIL import Image, ImageOps
    image = ImageOps.exif_transpose(image)
    if image.mode == 'F':
        values = np.rint(np.asarray(image)).clip(0, 255)
        image = Image.fromarray(values.astype(np.uint8))
    return np.array(as_rgb(image))


def from_array(image: np.ndarray, channel_order: str = 'rgb') -> np.ndarray:
    """Converts an array to uint8 (H, W, 3) RGB.

    Args:
        image: uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        channel_order: ``rgb``, or ``bgr`` as OpenCV reads.

    Raises:
        BadImage: the array has another type or shape.
        ValueError: ``channel_order`` is unknown.
    """
    check_order(channel_order)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (
            image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise BadImage(
            'Expected an image of uint8 (H, W), (H, W, 3) or (H, W, 4), found '
            f'{image.dtype} {image.shape}.')
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    step = -1 if channel_order == 'bgr' else 1
    return np.ascontiguousarray(image[..., :3][..., ::step])


def check_order(channel_order: str) -> None:
    """Raises ``ValueError`` for an unknown channel order."""
    if channel_order not in _ORDERS:
        raise ValueError(
            f"Expected channel_order 'rgb' or 'bgr', found {channel_order!r}.")


def is_single(images: Any) -> bool:
    """Returns True for one image: an array, a PIL image, or the path of a file."""
    if isinstance(images, (str, Path)):
        return not Path(images).is_dir()
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    return not isinstance(images, (list, tuple)) and hasattr(images, 'getbands')


def as_arrays(images: Any, channel_order: str = 'rgb') -> Iterator[np.ndarray]:
    """Yields every image of the input as uint8 (H, W, 3) RGB.

    Args:
        images: an array (H, W, 3) or (N, H, W, 3), a PIL image, the path of a file or
            of a folder, or a sequence of these.
        channel_order: order of arrays. Files and PIL images define their own.

    Raises:
        FileNotFoundError, BadImage: see ``read_image`` and ``from_array``.
        TypeError: the input has an unsupported type.
    """
    if isinstance(images, (str, Path)):
        path = Path(images)
        for file in (files_in(path) if path.is_dir() else [path]):
            yield read_image(file)
    elif isinstance(images, np.ndarray):
        for image in ([images] if images.ndim < 4 else images):
            yield from_array(image, channel_order)
    elif hasattr(images, 'getbands'):
        yield from_pil(images)
    elif isinstance(images, Sequence) or hasattr(images, '__iter__'):
        for image in images:
            yield from as_arrays(image, channel_order)
    else:
        raise TypeError(
            'Expected arrays, PIL images, paths, folders or sequences of them, found '
            f'{type(images).__name__}.')


def files_in(folder: str | Path, suffixes: Sequence[str] = SUFFIXES,
             kind: str = 'image') -> list[Path]:
    """Returns the files of a folder that have one of the suffixes, by name.

    Args:
        folder: the folder.
        suffixes: in lower case.
        kind: name of such files in the error.

    Raises:
        FileNotFoundError: the folder has none.
    """
    files = sorted(path for path in Path(folder).iterdir()
                   if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise FileNotFoundError(f'There is no {kind} in {folder}: expected files '
                                f'ending in {", ".join(suffixes)}.')
    return files
