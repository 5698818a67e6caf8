"""Where the images of a shard lie: files of a folder, or one LMDB."""
from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fdsr.datasets.reading import complete_images, said_by

#: Encodings and the suffixes of their files; ``raw`` is for LMDB alone.
SUFFIXES = {'jpeg': '.jpg', 'png': '.png', 'raw': None}
STORAGES = ('folder', 'lmdb')
LMDB_FILE = 'pictures.lmdb'


def encode(img: np.ndarray, encoding: str, quality: int = 95) -> bytes:
    """Encode an image.

    Args:
        img: uint8 (S, S, 3), RGB.
        encoding: ``jpeg``, ``png``, or ``raw`` for the pixels as they are.
        quality: Of JPEG, 1 to 100; its colours keep their full resolution (4:4:4).
    """
    if encoding == 'raw':
        return np.ascontiguousarray(img).tobytes()
    file = io.BytesIO()
    options = dict(quality=quality, subsampling=0) if encoding == 'jpeg' else {}
    Image.fromarray(img).save(file, format=encoding.upper(), **options)
    return file.getvalue()


def decode(data: bytes, encoding: str, size: int) -> np.ndarray:
    """Decode an image of known size.

    Args:
        data: What :func:`encode` returned.
        encoding: Its encoding.
        size: Its side in pixels.

    Returns:
        uint8 (size, size, 3), RGB; may be written to.

    Raises:
        ValueError: It is truncated, no such image, or of another size.
    """
    if encoding == 'raw':
        if len(data) != size * size * 3:
            raise ValueError(f'{len(data)} bytes, expected {size * size * 3} for '
                             f'{size}x{size} px')
        return np.frombuffer(bytearray(data), np.uint8).reshape(size, size, 3)
    try:
        with complete_images(), Image.open(io.BytesIO(data)) as file:
            img = np.array(file if file.mode == 'RGB' else file.convert('RGB'))
    except Exception as error:  # decoders raise nearly anything on broken files
        raise ValueError(f'cannot be decoded ({said_by(error)})') from error
    if img.shape != (size, size, 3):
        raise ValueError(f'has {img.shape[1]}x{img.shape[0]} px, expected {size}x'
                         f'{size}')
    return img


class ImageReader(Protocol):
    """Reads the encoded images of one shard."""

    def read(self, key: int, name: str) -> bytes:
        """One image; raises OSError or ValueError if it is not there."""

    def close(self) -> None:
        """Free what is open."""


class FolderImages:
    """Images as files, named by their names.

    Args:
        folder: Folder of the shard.
        suffix: Of the files.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix

    def path(self, name: str) -> str:
        """The file of an image."""
        return f'{os.fspath(self.folder)}/{name}{self.suffix}'

    def read(self, key: int, name: str) -> bytes:
        """One image."""
        with open(self.path(name), 'rb') as file:
            return file.read()

    def write(self, key: int, name: str, data: bytes) -> None:
        """Add one image."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, key: int, name: str) -> None:
        """Take one image out, if it is there."""
        Path(self.path(name)).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is open."""


class LmdbImages:
    """Images in one LMDB, by their numbers.

    Args:
        folder: Folder of the shard.
        room: Bytes that it may grow to when it is written; 0 opens it for reading.

    Raises:
        ImportError: The package ``lmdb`` is missing.
        OSError: There is no such LMDB.
    """

    def __init__(self, folder: Path, room: int = 0) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise ImportError('Faces in LMDB need the package lmdb: '
                              'pip install "fdsr[train]"') from error
        self._file = folder / LMDB_FILE
        with _explained(self._file):
            if room:
                # the shard is written by one process, and then by none
                self._lmdb = lmdb.open(str(self._file), subdir=False, lock=False,
                                       map_size=room)
            else:
                self._lmdb = _Shared.open(lmdb, self._file)
            self._transaction = self._lmdb.begin(write=bool(room))

    def read(self, key: int, name: str) -> bytes:
        """One image."""
        with _explained(self._file):
            data = self._transaction.get(_key(key))
        if data is None:
            raise ValueError(f'{self._file} has no image {key} ({name})')
        return data

    def write(self, key: int, name: str, data: bytes) -> None:
        """Add one image."""
        with _explained(self._file):
            try:
                self._transaction.put(_key(key), data, append=True)
            except BaseException:
                self._transaction.abort()  # or close() would try to write the rest
                self._transaction = None
                raise

    def remove(self, key: int, name: str) -> None:
        """Do nothing: an LMDB does not shrink, and the index leaves the face out."""

    def close(self) -> None:
        """Write what is left to be written, and close."""
        with _explained(self._file):
            if self._transaction is not None:
                self._transaction.commit()
            self._lmdb.close()


class _Shared:
    """LMDBs that are open for reading: LMDB forbids to open one twice in a process."""

    _known: dict[str, list] = {}

    def __init__(self, name: str) -> None:
        self._name = name
        self.begin = self._known[name][0].begin

    @classmethod
    def open(cls, lmdb: Any, file: Path) -> _Shared:
        """Open a file, or take the one that is open in this process."""
        name = str(file.resolve())
        if name not in cls._known:
            cls._known[name] = [lmdb.open(
                name, subdir=False, lock=False, readonly=True, readahead=False), 0]
        cls._known[name][1] += 1
        return cls(name)

    def close(self) -> None:
        """Close it, if nobody else in this process has it open."""
        self._known[self._name][1] -= 1
        if not self._known[self._name][1]:
            self._known.pop(self._name)[0].close()

    @classmethod
    def forget(cls) -> None:
        """Know of none."""
        cls._known.clear()


def _key(number: int) -> bytes:
    return number.to_bytes(4, 'big')


class _explained:
    """LMDB's own errors as an OSError that names the file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, _: object
                 ) -> None:
        if kind is None or not kind.__module__.startswith('lmdb'):
            return
        import errno
        full = 'No space left' in str(error) or 'MAP_FULL' in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error),
                      str(self._file)) from error


def forget_readers() -> None:
    """Let go of what was opened before a fork, which must not be used behind it."""
    _Shared.forget()


def open_reader(folder: Path, storage: str, encoding: str) -> ImageReader:
    """Open the images of a shard to read them.

    Args:
        folder: Folder of the shard.
        storage: One of :data:`STORAGES`.
        encoding: One of :data:`SUFFIXES`.

    Raises:
        OSError: They are not there.
    """
    if storage == 'lmdb':
        return LmdbImages(folder)
    return FolderImages(folder, SUFFIXES[encoding])
