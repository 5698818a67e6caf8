"""Converts images from files, PIL, numpy and torch to uint8 RGB arrays."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fdsr.datasets.colour import as_rgb, on_white
from fdsr.datasets.image_formats import SUFFIXES, described, format_of
from fdsr.datasets.reading import (
    MOST_PIXELS,
    BadImage,
    check_size,
    decode,
    read_file,
    read_head,
    said_by,
    strict_decoders,
)

__all__ = ['MOST_PIXELS', 'SUFFIXES', 'BadImage', 'as_arrays', 'from_array', 'from_pil',
           'from_tensor', 'is_single', 'named_arrays', 'read_image', 'sort_folder',
           'srgb_tag']
_ORDERS = ('rgb', 'bgr')
#: Channels of an array: grey, RGB, and RGB with alpha.
_CHANNELS = (1, 3, 4)


class Folder(NamedTuple):
    """The files of a folder, by name.

    Args:
        files: its images, and other files that were asked for.
        skipped: everything else that is not hidden, with the reason.
    """

    files: list[Path]
    skipped: list[tuple[Path, str]]


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image, converts it to sRGB and applies its EXIF orientation.

    Args:
        path: the file.

    Returns:
        uint8 (H, W, 3) RGB. Transparency becomes white; 16 bits become 8.

    Raises:
        FileNotFoundError: the file does not exist.
        BadImage: it is not an image, is damaged, or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no image at {path}.')
    try:
        return np.array(decode(read_file(path), exif=True))
    except BadImage as error:
        raise BadImage(f'{path} cannot be read as an image: {error}.') from error


def from_pil(image: Any) -> np.ndarray:
    """Converts a PIL image to uint8 (H, W, 3) RGB.

    Applies its EXIF orientation and its ICC profile.

    Raises:
        BadImage: it is damaged, too large, or has pixels of unknown range.
    """
    from PIL import ImageOps
    try:
        check_size(*image.size)
        with strict_decoders(image.format):
            return np.array(as_rgb(ImageOps.exif_transpose(image)))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on broken files
        raise BadImage(
            f'The PIL image cannot be used: {said_by(error)}.') from error


def from_array(image: np.ndarray, channel_order: str = 'rgb') -> np.ndarray:
    """Converts an array to uint8 (H, W, 3) RGB.

    Args:
        image: uint8 (H, W), (H, W, 1), (H, W, 3), or (H, W, 4) with alpha, which is
            blended with white.
        channel_order: ``rgb``, or ``bgr`` as OpenCV reads.

    Raises:
        BadImage: the array has another type or shape, or is too large.
        ValueError: ``channel_order`` is unknown.
    """
    check_order(channel_order)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (
            image.ndim == 3 and image.shape[2] not in _CHANNELS) or 0 in image.shape:
        raise BadImage(
            'Expected an image of uint8 (H, W), (H, W, 3) or (H, W, 4), found '
            f'{image.dtype} {image.shape}. {_advice(image)}')
    _check_array_size(image.shape[1], image.shape[0])
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    step = -1 if channel_order == 'bgr' else 1
    rgb = np.ascontiguousarray(image[..., :3][..., ::step])
    if image.shape[2] == 3:
        return rgb
    from PIL import Image
    alpha = np.ascontiguousarray(image[..., 3])
    return np.array(on_white(Image.fromarray(rgb), Image.fromarray(alpha)))


def _advice(image: np.ndarray) -> str:
    if image.ndim == 3 and image.shape[0] in _CHANNELS:
        return 'Move the channels last: image.transpose(1, 2, 0).'
    if image.dtype.kind == 'f':
        return 'Convert floats in [0, 1]: (image * 255).round().astype("uint8").'
    return 'Convert it.'


def _check_array_size(width: int, height: int) -> None:
    try:
        check_size(width, height)
    except BadImage as error:
        raise BadImage(f'The image cannot be used: {error}.') from error


def from_tensor(image: Any) -> np.ndarray:
    """Converts a torch tensor to uint8 (C, H, W) or, with a batch, (N, C, H, W).

    Args:
        image: uint8, or floats in [0, 1]; (C, H, W) or (N, C, H, W) with C = 1, 3 or 4.

    Returns:
        uint8 (H, W, C) or (N, H, W, C).

    Raises:
        BadImage: the tensor has another type, shape or range.
    """
    found = f'{str(image.dtype).removeprefix("torch.")} {tuple(image.shape)}'
    if image.ndim not in (3, 4) or image.shape[-3] not in _CHANNELS or not (
            image.is_floating_point() or str(image.dtype) == 'torch.uint8'):
        raise BadImage('Expected a tensor (C, H, W) or (N, C, H, W) of uint8 or of '
                       f'floats in [0, 1], found {found}.')
    if image.is_floating_point():
        image = image.detach().float()
        low, high = (float(end) for end in image.aminmax()) if image.numel() else (0, 0)
        if not -0.1 <= low <= high <= 1.1:  # NaN fails as well
            raise BadImage('Expected a tensor of floats in [0, 1], found '
                           f'{found} from {low:g} to {high:g}.')
        image = image.clamp(0, 1).mul(255).round().byte()
    return image.movedim(-3, -1).cpu().numpy()


def srgb_tag() -> Any:
    """Returns the argument ``pnginfo`` with which PIL marks a PNG as sRGB.

    The chunk sRGB, unlike a profile made by LittleCMS, contains no date.
    """
    from PIL.PngImagePlugin import PngInfo
    info = PngInfo()
    info.add(b'sRGB', b'\0')  # perceptual, the usual intent for photographs
    return info


def check_order(channel_order: str) -> None:
    """Raises ``ValueError`` for an unknown channel order."""
    if channel_order not in _ORDERS:
        raise ValueError(
            f"Expected channel_order 'rgb' or 'bgr', found {channel_order!r}.")


def is_single(images: Any) -> bool:
    """Returns True for one image: an array, a PIL image, or the path of a file."""
    if isinstance(images, (str, Path)):
        return not Path(images).is_dir()
    if isinstance(images, np.ndarray) or _is_tensor(images):
        return images.ndim < 4
    return not isinstance(images, (list, tuple)) and hasattr(images, 'getbands')


def as_arrays(images: Any, channel_order: str = 'rgb') -> Iterator[np.ndarray]:
    """Yields every image of the input as uint8 (H, W, 3) RGB.

    Args:
        images: an array (H, W, 3) or (N, H, W, 3), a tensor (3, H, W) or (N, 3, H, W),
            a PIL image, the path of a file or of a folder, or a sequence of these.
            What is not an image in a folder is skipped with a warning.
        channel_order: order of arrays and tensors. Files and PIL images define their
            own.

    Raises:
        FileNotFoundError, BadImage: see ``read_image`` and ``from_array``.
        TypeError: the input has an unsupported type.
    """
    return (image for _, image in named_arrays(images, channel_order))


def named_arrays(images: Any, channel_order: str = 'rgb'
                 ) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the path, if any, and the array of every image, see ``as_arrays``."""
    if isinstance(images, (str, Path)):
        path = Path(images)
        for file in (files_in(path) if path.is_dir() else [path]):
            yield str(file), read_image(file)
    elif isinstance(images, np.ndarray) or _is_tensor(images):
        arrays = images if isinstance(images, np.ndarray) else from_tensor(images)
        for image in ([arrays] if arrays.ndim < 4 else arrays):
            yield '', from_array(image, channel_order)
    elif hasattr(images, 'getbands'):
        yield '', from_pil(images)
    elif isinstance(images, Sequence) or hasattr(images, '__iter__'):
        for image in images:
            yield from named_arrays(image, channel_order)
    else:
        raise TypeError(
            'Expected arrays, tensors, PIL images, paths, folders or sequences of '
            f'them, found {type(images).__name__}.')


def _is_tensor(images: Any) -> bool:
    return hasattr(images, 'is_floating_point') and hasattr(images, 'movedim')


def files_in(folder: str | Path) -> list[Path]:
    """Returns the paths of the images in a folder and warns about skipped files.

    Raises:
        FileNotFoundError: the folder has none.
    """
    files, skipped = sort_folder(folder)
    if skipped:
        from mmengine.logging import print_log
        print_log(f'{folder}: {len(skipped)} skipped: {_listed(skipped)}.',
                  logger='current', level=logging.WARNING)
    return files


def sort_folder(folder: str | Path, also: Sequence[str] = (), kind: str = 'image'
                ) -> Folder:
    """Separates the images of a folder from what is skipped.

    A file is an image by its suffix or by its content, so that a damaged one is
    reported when it is read. Hidden files are ignored.

    Args:
        folder: the folder.
        also: suffixes, in lower case, of other files to return.
        kind: name of the files in the error.

    Raises:
        FileNotFoundError: the folder has none.
    """
    files, skipped = [], []
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith('.') or path.name in ('Thumbs.db', 'desktop.ini'):
            continue
        if path.is_dir():
            skipped.append((path, 'a subfolder: name it as an input of its own'))
        elif path.suffix.lower() in (*SUFFIXES, *also):
            files.append(path)
        else:
            try:
                head = read_head(path)
            except OSError as error:
                skipped.append((path, error.strerror or 'it cannot be opened'))
                continue
            if format_of(head):
                files.append(path)
            else:
                skipped.append((path, described(head)))
    if not files:
        raise FileNotFoundError(
            f'There is no {kind} in {folder}'
            + (f' ({len(skipped)} skipped: {_listed(skipped)}).' if skipped else '.'))
    return Folder(files, skipped)


def _listed(skipped: Sequence[tuple[Path, str]]) -> str:
    """Names what was skipped, at most ten."""
    names = ', '.join(f'{path.name} ({why})' for path, why in skipped[:10])
    return names + (', …' if len(skipped) > 10 else '')
