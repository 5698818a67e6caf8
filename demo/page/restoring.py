"""What the page does with a picture: checks it, restores it, tells about each face."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.apis.images import BadImage, read_image
from fdsr.apis.photo import PhotoFace

MOST_BYTES = 20 * 10**6
#: Of a picture, and of what is made of it.
MOST_PIXELS = 50 * 10**6
#: PIL reads more, but some of it through other programs.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF')
KINDS = 'JPEG, PNG, WebP, BMP or TIFF'
LIMITS = (f'{KINDS}, up to {MOST_BYTES / 1e6:.0f} MB and {MOST_PIXELS / 1e6:.0f} '
          'million pixels')
#: What people hand in by mistake: place in the file, bytes that are there, name.
_FOREIGN = ((0, b'%PDF', 'a PDF'), (0, b'GIF8', 'a GIF'),
            (4, b'ftyp', 'a HEIC picture or a video'), (0, b'<svg', 'an SVG'))


class Refused(ValueError):
    """What was handed in cannot be used; the message is for who did."""


@dataclass(frozen=True)
class Wish:
    """What should be done with a picture.

    Args:
        model: label of one of the page's models.
        whole: whether it is a whole photograph, not a cut-out face.
        scale: of a restored photograph, 1 to 8.
        large_faces: whether a photograph's large faces are restored too.
    """

    model: str
    whole: bool = False
    scale: int = 2
    large_faces: bool = False


@dataclass
class FaceReport:
    """What became of a face.

    Args:
        status: in a word or two.
        message: in a sentence.
        before: uint8 (h, w, 3), the face as it came in.
        after: uint8 (H, W, 3), what the network made of it; None if nothing.
    """

    status: str
    message: str
    before: np.ndarray
    after: Optional[np.ndarray] = None


@dataclass
class Outcome:
    """A restored picture.

    Args:
        picture: uint8 (h, w, 3), as it came in.
        image: uint8 (H, W, 3), the result.
        summary: what happened, in a sentence.
        faces: every face, the largest first.
        seconds: from the check of the picture to the result, without waiting.
        device: that it was computed on.
    """

    picture: np.ndarray
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
    """The page's networks: one for all users, opened when it is first asked for.

    Args:
        weights: of each network, as ``FaceSuperResolver`` takes them.
        device: see ``FaceSuperResolver``.

    Attributes:
        labels: what users choose from.

    Raises:
        FileNotFoundError: a file is not there.
    """

    def __init__(self, weights: Sequence[str], device: str = 'auto') -> None:
        from fdsr.weights.shipped import SHIPPED
        for file in weights:
            if file not in SHIPPED and not Path(file).is_file():
                raise FileNotFoundError(
                    f'There are no weights at {file}. --weights takes files that '
                    'tools/train.py or a conversion wrote, and the names of weights '
                    f'that come along ({", ".join(SHIPPED) or "none do"}).')
        self._device = device
        self._models: Dict[str, _Model] = {
            label: _Model(file) for label, file in zip(labels_of(weights), weights)}
        self.labels = list(self._models)

    @contextmanager
    def borrow(self, label: str) -> Iterator[FaceSuperResolver]:
        """A network for one at a time: its face detector can do no more.

        Raises:
            Refused: there is no such model.
        """
        if label not in self._models:
            raise Refused(f'There is no model {label!r} here; there are '
                          f'{", ".join(self.labels)}.')
        model = self._models[label]
        with model.lock:
            if model.resolver is None:
                model.resolver = FaceSuperResolver(model.weights, self._device)
            yield model.resolver


def labels_of(weights: Sequence[str]) -> List[str]:
    """File names, with as many folders as it takes to tell them apart."""
    weights = [str(file) for file in dict.fromkeys(weights)]
    for length in range(1, 100):
        labels = ['/'.join(Path(file).parts[-length:]) for file in weights]
        if len(set(labels)) == len(labels):
            return labels
    return weights


def check_picture(path: Path) -> None:
    """Looks at a file's size and head, without decoding it.

    Raises:
        Refused: it is none that can be used.
    """
    if not path.is_file():
        raise Refused('This picture has been removed from the server, as all are after '
                      'a while. Upload it again.')
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f'{path.name} has {path.stat().st_size / 1e6:.1f} MB; at most '
                      f'{MOST_BYTES / 1e6:.0f} MB can be used.')
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise Refused(f'{path.name} has far more than {MOST_PIXELS / 1e6:.0f} million '
                      'pixels. Make it smaller.') from None
    except Exception:  # decoders raise nearly anything on broken files
        raise Refused(f'{path.name} {_guess(path)}. Expected a picture: '
                      f'{KINDS}.') from None
    if width * height > MOST_PIXELS:
        raise Refused(f'{path.name} has {width}×{height} pixels; at most '
                      f'{MOST_PIXELS / 1e6:.0f} million can be used. Make it smaller.')


def _guess(path: Path) -> str:
    with open(path, 'rb') as file:
        head = file.read(12)
    for start, content, name in _FOREIGN:
        if head[start:].startswith(content):
            return f'is {name}, whatever its name says'
    return 'cannot be read as a picture, whatever its name says'


def restore(models: Models, path: Path, wish: Wish) -> Outcome:
    """Restores a picture as it was wished for.

    Args:
        models: to choose from.
        path: of the picture.
        wish: what to do.

    Raises:
        Refused: the picture, or its size at that scale, is none that can be used.
    """
    check_picture(path)
    try:
        picture = read_image(path)
        _check_shape(picture.shape, wish)
        with models.borrow(wish.model) as resolver:
            start = time.perf_counter()
            work = _restore_photo if wish.whole else _restore_face
            image, summary, faces = work(resolver, picture, wish)
            seconds = time.perf_counter() - start
    except BadImage as error:
        raise Refused(str(error).replace(f'{path.parent}{os.sep}', '')) from error
    return Outcome(picture, image, summary, faces, seconds, resolver.device.type)


def _check_shape(shape: Tuple[int, ...], wish: Wish) -> None:
    height, width = shape[:2]
    if not wish.whole and height != width:
        raise Refused(
            f'A cut-out face is a square; this picture has {width}×{height} pixels. '
            'Switch on “Whole photograph”, or cut the face out as a square.')
    pixels = width * height * wish.scale**2
    if wish.whole and pixels > MOST_PIXELS:
        raise Refused(
            f'A photograph of {width}×{height} pixels at scale {wish.scale} would have '
            f'{pixels / 1e6:.0f} million pixels; at most {MOST_PIXELS / 1e6:.0f} '
            'million are made here. Take a smaller scale, or a smaller photograph.')


def _restore_photo(resolver: FaceSuperResolver, picture: np.ndarray, wish: Wish
                   ) -> Tuple[np.ndarray, str, List[FaceReport]]:
    photo = resolver.restore_photo(picture, wish.scale, wish.large_faces)
    faces = [FaceReport(face.status.value, _message(face), _cut_out(picture, face),
                        face.sr) for face in photo.faces]
    return photo.image, photo.summary(), faces


def _message(face: PhotoFace) -> str:
    if face.sr is None:
        return face.message
    lr_size, size = len(face.lr), len(face.sr)
    return (f'Its square has {face.side} px; it was restored from {lr_size}×{lr_size} '
            f'to {size}×{size} px and put back.')


def _cut_out(picture: np.ndarray, face: PhotoFace) -> np.ndarray:
    """What the network was given of a face, else what its box shows."""
    if face.lr is not None:
        return face.lr
    x1, y1, x2, y2 = (round(value) for value in face.box)
    return picture[max(y1, 0):max(y2, 1), max(x1, 0):max(x2, 1)]


def _restore_face(resolver: FaceSuperResolver, picture: np.ndarray, wish: Wish
                  ) -> Tuple[np.ndarray, str, List[FaceReport]]:
    [face] = resolver.super_resolve([picture])
    side, lr_size, size = len(picture), resolver.setting.lr_size, len(face.image)
    message = f'Restored from {lr_size}×{lr_size} to {size}×{size} pixels.'
    if side > lr_size:
        message += (f' The picture has {side}×{side} and was made smaller first, so '
                    'detail beyond that is lost.')
    if face.landmarks_found is False:
        message += (' Its eyes, nose and mouth were not found, so the dictionary was '
                    'read where they are on average.')
    report = FaceReport('restored', message, picture, face.image)
    return face.image, 'The face was restored.', [report]
