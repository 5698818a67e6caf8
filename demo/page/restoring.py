"""Checks and restores an image, and reports the result of each face."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fdsr.apis import FaceSuperResolver
from fdsr.apis.images import BadImage, read_image
from fdsr.apis.photo import PhotoFace
from fdsr.datasets.image_formats import KINDS
from fdsr.datasets.reading import opened, read_file, said_by, strict_decoders

MOST_BYTES = 20 * 10**6
#: Maximum number of pixels of an input and of a result.
MOST_PIXELS = 50 * 10**6
LIMITS = (f'{KINDS}, up to {MOST_BYTES / 1e6:.0f} MB and {MOST_PIXELS / 1e6:.0f} '
          'million pixels')


class Refused(ValueError):
    """The input cannot be used. The message is shown to the visitor."""


@dataclass(frozen=True)
class Options:
    """The options for restoring an image.

    Args:
        model: label of a model.
        whole: whether the image is a whole photograph instead of a face crop.
        scale: scale of a restored photograph, 1 to 8.
        large_faces: whether large faces in a photograph are restored as well.
    """

    model: str
    whole: bool = False
    scale: int = 2
    large_faces: bool = False


@dataclass
class FaceReport:
    """The result of one face.

    Args:
        status: status in one or two words.
        message: explanation in a sentence.
        before: uint8 (h, w, 3), the input face.
        after: uint8 (H, W, 3), the restored face; None if it was not restored.
    """

    status: str
    message: str
    before: np.ndarray
    after: Optional[np.ndarray] = None


@dataclass
class Outcome:
    """A restored image.

    Args:
        source: uint8 (h, w, 3), the input.
        image: uint8 (H, W, 3), the result.
        summary: summary in a sentence.
        faces: all faces, the largest first.
        seconds: run time, without waiting for other requests.
        device: type of the device.
    """

    source: np.ndarray
    image: np.ndarray
    summary: str
    faces: List[FaceReport]
    seconds: float
    device: str


@dataclass
class _Model:
    weights: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    resolver: Optional[FaceSuperResolver] = None


class Models:
    """The models of the page. Each is loaded on first use and shared by all visitors.

    Args:
        weights: weights of each model, see ``FaceSuperResolver``.
        device: see ``FaceSuperResolver``.

    Attributes:
        labels: names of the models on the page.

    Raises:
        FileNotFoundError: a file does not exist.
    """

    def __init__(self, weights: Sequence[str], device: str = 'auto') -> None:
        from fdsr.weights.shipped import SHIPPED
        for file in weights:
            if file not in SHIPPED and not Path(file).is_file():
                raise FileNotFoundError(
                    f'No weights found at {file}. --weights expects files written by '
                    'tools/train.py or tools/convert_checkpoint.py, or names of '
                    f'bundled weights ({", ".join(SHIPPED) or "none"}).')
        self._device = device
        self._models: Dict[str, _Model] = {
            label: _Model(file) for label, file in zip(labels_of(weights), weights)}
        self.labels = list(self._models)

    @contextmanager
    def borrow(self, label: str) -> Iterator[FaceSuperResolver]:
        """Yields a model to one request at a time; its face detector needs that.

        Raises:
            Refused: unknown label.
        """
        if label not in self._models:
            raise Refused(f'Unknown model {label!r}. Available: '
                          f'{", ".join(self.labels)}.')
        model = self._models[label]
        with model.lock:
            if model.resolver is None:
                model.resolver = FaceSuperResolver(model.weights, self._device)
            yield model.resolver


def labels_of(weights: Sequence[str]) -> List[str]:
    """Returns file names, with as many parent folders as needed to make them unique."""
    weights = [str(file) for file in dict.fromkeys(weights)]
    for length in range(1, 100):
        labels = ['/'.join(Path(file).parts[-length:]) for file in weights]
        if len(set(labels)) == len(labels):
            return labels
    return weights


def check_image(path: Path) -> None:
    """Checks the size and the header of a file without decoding it.

    Raises:
        Refused: the file is missing, too large, or not a supported image.
    """
    if not path.is_file():
        raise Refused('The server removes images after a while, and this one has been '
                      'removed. Upload it again.')
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f'{path.name} has {path.stat().st_size / 1e6:.1f} MB. The limit '
                      f'is {MOST_BYTES / 1e6:.0f} MB.')
    try:
        with strict_decoders(None), opened(read_file(path)) as image:
            width, height = image.size
    except BadImage as error:
        reason = str(error).removeprefix('it ')
        raise Refused(f'{path.name} {reason}.') from None
    except Exception as error:  # decoders raise nearly anything on broken files
        raise Refused(f'{path.name} cannot be read as an image '
                      f'({said_by(error)}).') from None
    if width * height > MOST_PIXELS:
        raise Refused(f'{path.name} has {width}×{height} pixels. The limit is '
                      f'{MOST_PIXELS / 1e6:.0f} million. Reduce its size.')


def restore(models: Models, path: Path, options: Options) -> Outcome:
    """Restores an image.

    Args:
        models: the available models.
        path: path of the image.
        options: how to restore it.

    Raises:
        Refused: the image cannot be used, or the result would be too large.
    """
    check_image(path)
    try:
        source = read_image(path)
        _check_shape(source.shape, options)
        with models.borrow(options.model) as resolver:
            start = time.perf_counter()
            work = _restore_photo if options.whole else _restore_face
            image, summary, faces = work(resolver, source, options)
            seconds = time.perf_counter() - start
    except BadImage as error:
        raise Refused(str(error).replace(f'{path.parent}{os.sep}', '')) from error
    return Outcome(source, image, summary, faces, seconds, resolver.device.type)


def _check_shape(shape: Tuple[int, ...], options: Options) -> None:
    height, width = shape[:2]
    if not options.whole and height != width:
        raise Refused(
            f'A face crop must be square, but this image has {width}×{height} pixels. '
            'Select “Whole photograph”, or crop the face to a square.')
    pixels = width * height * options.scale**2
    if options.whole and pixels > MOST_PIXELS:
        raise Refused(
            f'A photograph of {width}×{height} pixels at scale {options.scale} would '
            f'have {pixels / 1e6:.0f} million pixels. The limit is '
            f'{MOST_PIXELS / 1e6:.0f} million. Use a smaller scale or a smaller '
            'photograph.')


def _restore_photo(resolver: FaceSuperResolver, source: np.ndarray, options: Options
                   ) -> Tuple[np.ndarray, str, List[FaceReport]]:
    photo = resolver.restore_photo(source, options.scale, options.large_faces)
    faces = [FaceReport(face.status.value, _message(face), _cut_out(source, face),
                        face.sr) for face in photo.faces]
    return photo.image, photo.summary(), faces


def _message(face: PhotoFace) -> str:
    if face.sr is None:
        return face.message
    lr_size, size = len(face.lr), len(face.sr)
    return (f'Its square has {face.side} px. It was restored from {lr_size}×{lr_size} '
            f'to {size}×{size} px and pasted back.')


def _cut_out(source: np.ndarray, face: PhotoFace) -> np.ndarray:
    """Returns the network's input for a face, or else the content of its box."""
    if face.lr is not None:
        return face.lr
    x1, y1, x2, y2 = (round(value) for value in face.box)
    return source[max(y1, 0):max(y2, 1), max(x1, 0):max(x2, 1)]


def _restore_face(resolver: FaceSuperResolver, source: np.ndarray, options: Options
                  ) -> Tuple[np.ndarray, str, List[FaceReport]]:
    [face] = resolver.super_resolve([source])
    side, lr_size, size = len(source), resolver.geometry.lr_size, len(face.image)
    message = f'Restored from {lr_size}×{lr_size} to {size}×{size} pixels.'
    if side > lr_size:
        message += (f' The image has {side}×{side} pixels and was downsampled first, '
                    'so finer detail is lost.')
    if face.landmarks_found is False:
        message += (' No landmarks were found, so the dictionary was read at the '
                    'average positions of eyes, nose and mouth.')
    report = FaceReport('restored', message, source, face.image)
    return face.image, 'The face was restored.', [report]
