"""What people hand in as pictures, as arrays."""

import contextlib
import warnings
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Union

import numpy as np

from fdsr.datasets.reading import as_rgb, complete_images, said_by

#: What a folder is searched for.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
#: More pixels than this are refused: a picture of that size is no photograph.
MOST_PIXELS = 200_000_000
_ORDERS = ('rgb', 'bgr')


class BadPicture(ValueError):
    """Something that is no picture, or none that can be used; names it and says why."""


def read_picture(path: Union[str, Path]) -> np.ndarray:
    """Reads a picture as it is meant to be seen: turned by its EXIF orientation.

    Args:
        path: of the file.

    Returns:
        uint8 (H, W, 3) RGB; transparency is put on white, 16 bits become 8.

    Raises:
        FileNotFoundError: there is no such file.
        BadPicture: it is no picture, is truncated, or larger than ``MOST_PIXELS``.
    """
    from PIL import Image
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no picture at {path}.')
    try:
        with _without_pils_warning(), complete_images(), Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadPicture(
                    f'{path} has {image.width}x{image.height} pixels; at most '
                    f'{MOST_PIXELS / 1e6:.0f} million can be used. Make it smaller.')
            return from_pil(image)
    except BadPicture:
        raise
    except Image.DecompressionBombError as error:  # PIL's own limit, on opening
        raise BadPicture(
            f'{path} cannot be read as a picture: it has too many pixels ({error}) '
            'Make it smaller.') from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise BadPicture(
            f'{path} cannot be read as a picture ({said_by(error)}). It may be '
            'truncated, or not what its name says.') from error


@contextlib.contextmanager
def _without_pils_warning() -> Iterator[None]:
    """Has PIL say nothing of an attack where it reads a large photograph."""
    from PIL import Image
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        yield


def from_pil(image: Any) -> np.ndarray:
    """A PIL image as uint8 (H, W, 3) RGB, turned by its EXIF orientation.

    Floats are taken to be in [0, 255].
    """
    from PIL import Image, ImageOps
    image = ImageOps.exif_transpose(image)
    if image.mode == 'F':
        values = np.rint(np.asarray(image)).clip(0, 255)
        image = Image.fromarray(values.astype(np.uint8))
    return np.array(as_rgb(image))


def from_array(image: np.ndarray, channel_order: str = 'rgb') -> np.ndarray:
    """An array as uint8 (H, W, 3) RGB.

    Args:
        image: uint8, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        channel_order: of the array, ``rgb`` or ``bgr``, as OpenCV reads.

    Raises:
        BadPicture: another type or shape.
        ValueError: another order.
    """
    check_order(channel_order)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (
            image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise BadPicture(
            'A picture has to be uint8 (H, W), (H, W, 3) or (H, W, 4); found '
            f'{image.dtype} {image.shape}.')
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    step = -1 if channel_order == 'bgr' else 1
    return np.ascontiguousarray(image[..., :3][..., ::step])


def check_order(channel_order: str) -> str:
    """Returns the order if it is one.

    Raises:
        ValueError: it is none.
    """
    if channel_order not in _ORDERS:
        raise ValueError(
            f"channel_order has to be 'rgb' or 'bgr', found {channel_order!r}.")
    return channel_order


def is_single(images: Any) -> bool:
    """Whether one picture was handed in: an array, a PIL image, or a file's path."""
    if isinstance(images, (str, Path)):
        return not Path(images).is_dir()
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    return not isinstance(images, (list, tuple)) and hasattr(images, 'getbands')


def as_arrays(images: Any, channel_order: str = 'rgb') -> Iterator[np.ndarray]:
    """Every picture of what was handed in, one after the other.

    Args:
        images: an array (H, W, 3) or (N, H, W, 3), a PIL image, the path of a file or
            of a folder, or a sequence of any of these.
        channel_order: of arrays; files and PIL images know theirs.

    Yields:
        uint8 (H, W, 3) RGB.

    Raises:
        FileNotFoundError, BadPicture: see ``read_picture`` and ``from_array``.
        TypeError: something that is no picture at all.
    """
    if isinstance(images, (str, Path)):
        path = Path(images)
        for file in (files_in(path) if path.is_dir() else [path]):
            yield read_picture(file)
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
            'Pictures are arrays, PIL images, paths or folders, or sequences of them; '
            f'found {type(images).__name__}.')


def files_in(folder: Union[str, Path]) -> List[Path]:
    """The pictures of a folder, by name.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(path for path in Path(folder).iterdir()
                   if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise FileNotFoundError(
            f'There is no picture in {folder}: expected files ending in '
            f'{", ".join(SUFFIXES)}.')
    return files


