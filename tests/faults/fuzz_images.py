"""Mutated images for both readers of images."""

import io
import itertools
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fdsr.apis import images
from fdsr.datasets import reading
from tests.faults.fuzz import Case, mutations

#: Suffix and options of each encoding.
ENCODINGS = {
    'png': ('png', {}), 'palette png': ('png', dict(palette=True)),
    'jpeg': ('jpeg', dict(quality=90)),
    'progressive jpeg': ('jpeg', dict(quality=90, progressive=True)),
    'webp': ('webp', dict(quality=90)), 'lossless webp': ('webp', dict(lossless=True)),
    'bmp': ('bmp', {}), 'tiff': ('tiff', {}),
    'lzw tiff': ('tiff', dict(compression='tiff_lzw')),
    'deflate tiff': ('tiff', dict(compression='tiff_adobe_deflate')),
}
#: Mutations that a reader has to notice in any encoding.
NOTICEABLE = ('cut', 'zeros', 'half')
_ENDS = {'jpeg': b'\xff\xd9', 'png': bytes.fromhex('0000000049454e44ae426082')}
READERS: dict[str, Callable[[Path], np.ndarray]] = {
    'apis': images.read_image,
    'datasets': lambda path: reading.read_image(path, path.name)}


def cases(inputs: Path, draws: random.Random, count: int, canary: Path
          ) -> Iterator[Case]:
    """Yields mutated images of every encoding, each for one of the readers."""
    sources = {name: encoded(inputs, name) for name in ENCODINGS}
    kinds = mutations(draws)
    kinds['half'] = lambda data: data[:len(data) // 2]  # an end marker follows
    turns = itertools.cycle(itertools.product(ENCODINGS, kinds))
    for number, (encoding, mutation) in enumerate(itertools.islice(turns, count)):
        suffix = ENCODINGS[encoding][0]
        data = kinds[mutation](sources[encoding])
        if mutation == 'half':
            data += _ENDS.get(suffix, b'')
        reader = draws.choice(list(READERS))
        original = decoded(sources[encoding])
        strict = suffix == 'png' or mutation in NOTICEABLE
        yield Case(
            kind=f'image, {encoding}', name=f'{mutation} {number}, {reader}',
            write=partial(_write, data, f'damaged_{number}.{suffix}'),
            load=READERS[reader], judge=partial(_judge, data, original, strict))


def encoded(inputs: Path, name: str) -> bytes:
    """Returns a synthetic face in one of the encodings."""
    suffix, options = ENCODINGS[name]
    options = dict(options)
    image = Image.open(inputs / 'aligned' / '0.png').convert('RGB')
    if options.pop('palette', False):
        image = image.quantize(64)
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray | None:
    """Returns what PIL reads from bytes, or None for an error."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert('RGB'))
    except Exception:
        return None


def _write(data: bytes, name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _judge(data: bytes, original: np.ndarray, strict: bool, found: Any) -> str:
    """Judges an image that was read although it is mutated.

    The pixels of the original are correct. In an encoding without a checksum, other
    pixels are valid if the bytes say so, and no decoder warns of damage.
    """
    if np.array_equal(found, original):
        return 'correct'
    if strict or warned(data):
        return 'silent failure'
    expected = decoded(data)
    if expected is not None and np.array_equal(found, expected):
        return 'valid'
    return 'silent failure'


def warned(data: bytes) -> bool:
    """Returns whether OpenCV's decoders fail or report damage on stderr."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        text = file.read().decode(errors='replace').lower()
    # Files of some phones have these parameters; no pixel depends on them.
    text = text.replace('invalid sos parameters', '')
    return image is None or any(
        word in text for word in ('corrupt', 'premature', 'error', 'invalid'))
