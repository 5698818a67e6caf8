"""Storage of the images of a shard: files in a folder, one LMDB, or one tar file."""
from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np
from PIL import Image

from fdsr.datasets.lmdb_file import LmdbFile
from fdsr.datasets.reading import BadImage
from fdsr.datasets.reading import decode as decode_file
from fdsr.utils import storage

#: Encodings and the suffixes of their files; ``raw`` requires LMDB.
SUFFIXES = {'jpeg': '.jpg', 'png': '.png', 'raw': None}
STORAGES = ('folder', 'lmdb', 'tar')
LMDB_FILE = 'pictures.lmdb'
#: WebDataset's archive, and its index: offset and size of each image, int64 (N, 2).
TAR_FILE, TAR_INDEX = 'images.tar', 'offsets.npy'


def encode(img: np.ndarray, encoding: str, quality: int = 95) -> bytes:
    """Encodes an image.

    Args:
        img: uint8 (S, S, 3), RGB.
        encoding: ``jpeg``, ``png``, or ``raw`` for uncompressed pixels.
        quality: Quality of JPEG, 1 to 100; colours are not subsampled (4:4:4).
    """
    if encoding == 'raw':
        return np.ascontiguousarray(img).tobytes()
    file = io.BytesIO()
    options = dict(quality=quality, subsampling=0) if encoding == 'jpeg' else {}
    Image.fromarray(img).save(file, format=encoding.upper(), **options)
    return file.getvalue()


def decode(data: bytes, encoding: str, size: int) -> np.ndarray:
    """Decodes an image of known size.

    Args:
        data: Result of :func:`encode`.
        encoding: Encoding of the data.
        size: Side of the image in pixels.

    Returns:
        uint8 (size, size, 3), RGB, writable.

    Raises:
        ValueError: The data is truncated, not an image, or of another size.
    """
    if encoding == 'raw':
        if len(data) != size * size * 3:
            raise ValueError(f'{len(data)} bytes, expected {size * size * 3} for '
                             f'{size}x{size} px')
        return np.frombuffer(bytearray(data), np.uint8).reshape(size, size, 3)
    try:
        img = np.array(decode_file(data))
    except BadImage as error:
        raise ValueError(f'cannot be decoded ({error})') from error
    if img.shape != (size, size, 3):
        raise ValueError(f'has {img.shape[1]}x{img.shape[0]} px, expected {size}x'
                         f'{size}')
    return img


class FolderImages:
    """Images as files of the same names.

    Args:
        folder: Folder of the shard.
        suffix: Suffix of the files.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix

    def read(self, key: int, name: str) -> bytes:
        """Returns one image."""
        return self._path(name).read_bytes()

    def write(self, key: int, name: str, data: bytes) -> None:
        """Writes one image."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        """Removes one image if it exists."""
        self._path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Does nothing, because no file is open."""

    def _path(self, name: str) -> Path:
        return Path(f'{self.folder}/{name}{self.suffix}')


class LmdbImages:
    """Images in one LMDB, keyed by number, for reading.

    Args:
        folder: Folder of the shard.

    Raises:
        OSError: The LMDB cannot be opened, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._file = LmdbFile(folder / LMDB_FILE)

    def read(self, key: int, name: str) -> bytes:
        """Returns one image."""
        data = self._file.get(_key(key))
        if data is None:
            raise ValueError(f'{self._file.path} has no image {key} ({name})')
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class LmdbWriter:
    """Writer of the images of one LMDB.

    Args:
        folder: Folder of the shard.
        room: Maximum size in bytes.

    Raises:
        ImportError: The package ``lmdb`` is missing.
        OSError: The LMDB cannot be written.
    """

    def __init__(self, folder: Path, room: int) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise ImportError('Faces in LMDB need the package lmdb: '
                              'pip install "fdsr[train]"') from error
        self._file = folder / LMDB_FILE
        with _explained(self._file):
            # no lock: one process writes the shard, afterwards it is read-only
            self._lmdb = lmdb.open(str(self._file), subdir=False, lock=False,
                                   map_size=room)
            self._transaction = self._lmdb.begin(write=True)

    def write(self, key: int, name: str, data: bytes) -> None:
        """Writes one image."""
        with _explained(self._file):
            try:
                self._transaction.put(_key(key), data, append=True)
            except BaseException:
                self._transaction.abort()  # otherwise close() would commit it
                self._transaction = None
                raise

    def close(self) -> None:
        """Commits, and closes the file."""
        with _explained(self._file):
            if self._transaction is not None:
                self._transaction.commit()
        self._transaction = self._lmdb = None


class TarImages:
    """Images in a WebDataset, local or remote, for random reads.

    A remote archive is copied to the local cache when its first image is read.

    Args:
        folder: Folder of the shard, a path or URL.

    Raises:
        OSError: A file is missing or damaged.
        StorageError: A remote file cannot be read.
    """

    def __init__(self, folder: Any) -> None:
        self._path = folder / TAR_FILE
        try:
            self._offsets = np.load(storage.local(folder / TAR_INDEX))
            if self._offsets.dtype != np.int64 or self._offsets.shape[1:] != (2,):
                raise ValueError(f'an array of {self._offsets.dtype}')
        except (ValueError, EOFError) as error:
            raise OSError(errno.EIO, f'damaged ({error})',
                          str(folder / TAR_INDEX)) from error
        self._file = storage.opened(self._path)
        self._end = os.fstat(self._file.fileno()).st_size

    def read(self, key: int, name: str) -> bytes:
        """Returns one image."""
        offset, size = self._offsets[key].tolist() if key < len(self._offsets) else (
            0, 0)
        if not 0 < offset < offset + size <= self._end:
            raise ValueError(f'{self._path} has no image {key} ({name}), or is '
                             'truncated')
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Closes the archive."""
        self._file.close()


class TarWriter:
    """Writer of a WebDataset: for each image ``KEY.jpg`` and ``KEY.json``.

    ``KEY`` is the number of the image, because WebDataset splits names at dots. The
    JSON has the name. The same images give the same bytes.

    Args:
        folder: Folder of the shard.
        suffix: Suffix of the images.
        count: Maximum number of images.

    Raises:
        ImportError: The package ``webdataset`` is missing.
    """

    def __init__(self, folder: Path, suffix: str, count: int) -> None:
        try:
            from webdataset import TarWriter as Writer
        except ImportError as error:
            raise ImportError('Faces in tar files need the package webdataset: '
                              'pip install "fdsr[remote]"') from error
        self._folder, self._suffix = folder, suffix[1:]
        self._offsets = np.zeros((count, 2), np.int64)
        self._file = open(folder / TAR_FILE, 'wb')
        self._writer = Writer(self._file, encoder=False, mtime=0)

    def write(self, key: int, name: str, data: bytes) -> None:
        """Writes one image."""
        start = self._writer.tarstream.offset
        self._writer.write({
            '__key__': f'{key:06d}', self._suffix: data,
            'json': json.dumps({'name': name}).encode()})
        self._offsets[key] = start + tarfile.BLOCKSIZE, len(data)

    def close(self) -> None:
        """Writes the index and closes the archive."""
        self._writer.close()
        self._file.close()
        np.save(self._folder / TAR_INDEX, self._offsets)


def _key(number: int) -> bytes:
    return number.to_bytes(4, 'big')


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Converts errors of LMDB to an OSError that names the file."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith('lmdb'):
            raise
        full = 'No space left' in str(error) or 'MAP_FULL' in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error),
                      str(file)) from error


ImageReader = FolderImages | LmdbImages | TarImages
