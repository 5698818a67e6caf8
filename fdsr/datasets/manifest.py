"""Manifests of prepared faces. Each shard has an index on disk.

    FOLDER/manifest.json        facts and the ordered list of shards
    FOLDER/000000/index.npy     one record per face, memory-mapped
    FOLDER/000000/...           the images, as files, in pictures.lmdb or images.tar

FOLDER may be a URL if the images are in tar files. Shards are then copied to a bounded
local cache on first use, see ``fdsr.utils.storage``.

Memory grows with the number of shards only: a process holds one number per shard and
a few open shards.
"""
from __future__ import annotations

import hashlib
import json
import os
import weakref
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from fdsr.datasets.image_storage import (
    STORAGES,
    SUFFIXES,
    FolderImages,
    ImageReader,
    LmdbImages,
    TarImages,
)
from fdsr.utils import storage
from fdsr.utils.files import write_bytes

#: Version of the file format. Version 1 has no digest of the facts.
FORMAT = 2
MANIFEST, INDEX = 'manifest.json', 'index.npy'
#: Required keys of ``manifest.json``.
FACTS = ('format', 'split', 'count', 'size', 'alignment', 'eye_share', 'storage',
         'encoding', 'source', 'shards')
#: Maximum number of open shards per process; each has one or two file handles.
MOST_OPEN = 128


class Shard(NamedTuple):
    """Entry of a shard in the manifest.

    Attributes:
        folder: Path relative to the folder of the manifest.
        count: Number of faces.
        digest: First 16 hex digits of the SHA-256 of ``index.npy``.
    """

    folder: str
    count: int
    digest: str


def record_type(longest_name: int) -> np.dtype:
    """Returns the dtype of the records of an index.

    Args:
        longest_name: Bytes of the longest name in the shard.

    Returns:
        ``name``, UTF-8; ``key``, number of the image in the shard; ``landmarks``, five
        points in pixels of HR; ``side``, side of the crop in pixels of the source;
        ``padded``, share of HR filled by reflection; ``sharpness``, variance of the
        Laplacian; ``hash``, 64-bit dHash; ``crc``, CRC-32 of the encoded image, which
        earlier manifests lack.
    """
    return np.dtype([
        ('name', f'S{max(longest_name, 1)}'), ('key', '<u4'),
        ('landmarks', '<f4', (5, 2)), ('side', '<f4'), ('padded', '<f4'),
        ('sharpness', '<f4'), ('hash', '<u8'), ('crc', '<u4')])


COLUMNS = record_type(1).names


def digest_of(index: Path) -> str:
    """Returns the digest of an ``index.npy`` as stored in the manifest."""
    return hashlib.sha256(index.read_bytes()).hexdigest()[:16]


def write_manifest(folder: Path, facts: dict[str, Any], shards: Sequence[Shard]
                   ) -> Path:
    """Writes ``manifest.json`` after the shards.

    Args:
        folder: Folder of the manifest and its shards.
        facts: Plain JSON, see :data:`FACTS`; ``format``, ``count``, ``shards`` and a
            ``digest`` of all of them are added.
        shards: Shards in the order of their faces.

    Returns:
        The path of the manifest.
    """
    whole = {'format': FORMAT, **facts, 'count': sum(shard.count for shard in shards)}
    whole['digest'] = _digest_of_facts({**whole, 'shards': shards})
    text = json.dumps(whole, indent=1)
    rows = ',\n  '.join(json.dumps(list(shard)) for shard in shards)
    text = f'{text[:-2]},\n "shards": [\n  {rows}\n ]\n}}\n'
    write_bytes(folder / MANIFEST, text.encode())
    return folder / MANIFEST


def join_manifests(folders: Sequence[str | os.PathLike], out: str | os.PathLike
                   ) -> Path:
    """Joins several manifests without moving images.

    Args:
        folders: Folders of manifests with the same preparation.
        out: Folder of the new manifest, which refers to the existing shards.

    Returns:
        The path of the new ``manifest.json``.

    Raises:
        FileNotFoundError: A manifest is missing.
        ValueError: The manifests differ in split, size, crop, storage or encoding; or
            ``folders`` is empty.
    """
    manifests = [Manifest(folder) for folder in folders]
    if not manifests:
        raise ValueError('folders is empty, expected the folders of the manifests.')
    first = manifests[0].facts
    for other in manifests[1:]:
        for fact in ('split', 'size', 'alignment', 'storage', 'encoding'):
            if other.facts[fact] != first[fact]:
                raise ValueError(
                    f'{other.folder} has {fact} {other.facts[fact]!r}, '
                    f'{manifests[0].folder} has {first[fact]!r}: prepare them with the '
                    'same options.')
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    shards = [Shard(os.path.relpath(manifest.folder / shard.folder, out), *shard[1:])
              for manifest in manifests for shard in manifest.shards]
    return write_manifest(out, _joined_facts(manifests), shards)


def _joined_facts(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Returns the common facts, the sums of the counts, and the list of sources."""
    facts = [manifest.facts for manifest in manifests]
    total = max(sum(map(len, manifests)), 1)
    eyes = sum(fact['eye_share'] * len(manifest) / total
               for fact, manifest in zip(facts, manifests))
    common = {name: value for name, value in facts[0].items()
              if name not in ('format', 'count')
              and all(fact.get(name) == value for fact in facts)}
    counts = {name: sum(fact[name] for fact in facts)
              for name in ('listed', 'up_sampled', 'padded')
              if all(name in fact for fact in facts)}
    return {**common, **counts, 'eye_share': round(eyes, 4),
            'source': [fact['source'] for fact in facts]}


class Manifest:
    """Reader of the faces of one ``manifest.json``.

    Args:
        folder: Folder of the manifest.

    Raises:
        FileNotFoundError: The manifest is missing.
        ValueError: The manifest is malformed, damaged or has another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = storage.as_path(folder)
        self.facts = _read_facts(self.folder / MANIFEST)
        if storage.is_remote(folder) and self.facts['storage'] != 'tar':
            raise ValueError(
                f'{folder} has storage {self.facts["storage"]!r}; remote faces need '
                'tar: prepare them with --storage tar.')
        digest = self.facts.pop('digest', None)
        damaged = ((digest is not None or self.facts['format'] > 1)
                   and digest != _digest_of_facts(self.facts))
        self.shards = [Shard(*row) for row in self.facts.pop('shards')]
        self.ends = np.cumsum([shard.count for shard in self.shards], dtype=np.int64)
        self._open: OrderedDict[int, tuple[np.ndarray, ImageReader]] = OrderedDict()
        self._verified: set[int] = set()
        _MANIFESTS.add(self)
        if len(self) != self.facts['count']:
            raise ValueError(f'{self.folder / MANIFEST} counts {self.facts["count"]} '
                             f'faces, its shards have {len(self)}. {_REMEDY}')
        if damaged and len(self):
            raise ValueError(
                f'{self.folder / MANIFEST} differs from its digest: it is damaged or '
                f'was edited. {_REMEDY} If you edited it yourself, delete its '
                '"digest" and set its "format" to 1.')

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def close(self) -> None:
        """Closes the open shards; they are reopened on demand."""
        for _, images in self._open.values():
            images.close()
        self._open.clear()

    def __del__(self) -> None:
        if hasattr(self, '_open'):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_open': OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _MANIFESTS.add(self)

    def locate(self, index: int) -> tuple[int, int]:
        """Returns the shard of a face and its row in the shard."""
        shard = int(np.searchsorted(self.ends, index, side='right'))
        return shard, int(index - self.ends[shard] + self.shards[shard].count)

    def record(self, index: int) -> np.void:
        """Returns the record of a face, see :func:`record_type`.

        Raises:
            OSError, ValueError: The index of the shard is missing or has changed.
        """
        shard, row = self.locate(index)
        return self.opened(shard)[0][row]

    def read(self, index: int) -> tuple[np.void, bytes]:
        """Returns the record and the encoded image of a face.

        Raises:
            OSError, ValueError: One of them is missing, or the index has changed.
        """
        shard, row = self.locate(index)
        records, images = self.opened(shard)
        record = records[row]
        return record, images.read(int(record['key']), record['name'].decode())

    def opened(self, number: int) -> tuple[np.ndarray, ImageReader]:
        """Returns the memory-mapped records of a shard and the reader of its images.

        Raises:
            OSError, ValueError: The index is missing or has changed.
        """
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        shard = self.shards[number]
        folder = self.folder / shard.folder
        index = storage.local(folder / INDEX)
        records = self._index(index)
        if len(records) != shard.count or records.dtype.names not in (
                COLUMNS, COLUMNS[:-1]):  # earlier ones have no CRC
            raise ValueError(f'{folder / INDEX} is not the index of {shard.count} '
                             f'faces that {self.folder / MANIFEST} lists. {_REMEDY}')
        if number not in self._verified:
            if digest_of(index) != shard.digest:
                raise ValueError(
                    f'{folder / INDEX} differs from its digest in '
                    f'{self.folder / MANIFEST}: it is damaged, or belongs to another '
                    f'preparation. {_REMEDY}')
            self._verified.add(number)
        self._open[number] = records, (
            FolderImages(folder, SUFFIXES[self.facts['encoding']])
            if self.facts['storage'] == 'folder' else
            dict(lmdb=LmdbImages, tar=TarImages)[self.facts['storage']](folder))
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1][1].close()
        return self._open[number]

    @staticmethod
    def _index(path: Path) -> np.ndarray:
        try:
            return np.load(path, mmap_mode='r')
        except OSError:
            raise
        except Exception as error:  # numpy's parser raises many types
            raise ValueError(f'{path} is damaged ({error!r}). {_REMEDY}') from error


def check_image(record: np.void, data: bytes) -> None:
    """Checks that an encoded image is the one that was prepared.

    Args:
        record: Record of the face.
        data: The encoded image.

    Raises:
        ValueError: The CRC-32 differs. Records of earlier manifests have none.
    """
    if 'crc' in record.dtype.names and zlib.crc32(data) != record['crc']:
        raise ValueError('its image differs from the CRC-32 in the index: it is '
                         f'damaged or was changed. {_REMEDY}')


_MANIFESTS: weakref.WeakSet[Manifest] = weakref.WeakSet()


def _reset_after_fork() -> None:
    """Drops open shards in a forked worker, because LMDB does not survive a fork."""
    for manifest in _MANIFESTS:
        manifest._open.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_reset_after_fork)

_REMEDY = 'Prepare the faces again: python tools/prepare_faces.py.'


def _read_facts(path: Any) -> dict[str, Any]:
    if not storage.exists(path):
        raise FileNotFoundError(
            f'{path}: expected a manifest, found none. Pass the output folder of '
            'tools/prepare_faces.py and one of its splits. An interrupted run writes '
            'its manifests when it is resumed.')
    try:
        text = storage.read_bytes(path) if storage.is_remote(path) else (
            path.read_bytes())
        facts = json.loads(text.decode('utf-8'))
        if type(facts) is not dict:
            raise TypeError(f'a {type(facts).__name__}')
        missing = [fact for fact in FACTS if fact not in facts]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f'{path} is not a manifest: {error}. {_REMEDY}') from error
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}. {_REMEDY}')
    if facts['format'] not in (1, FORMAT):
        raise ValueError(f'{path} has format {facts["format"]}, expected at most '
                         f'{FORMAT}. {_REMEDY}')
    _check_types(path, facts)
    return facts


def _digest_of_facts(facts: dict[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_types(path: Path, facts: dict[str, Any]) -> None:
    """Raises ValueError for a fact of another type than a dataset needs."""
    checks = {
        'count': lambda value: type(value) is int and value >= 0,
        'size': lambda value: type(value) is int and value > 0,
        'eye_share': lambda value: type(value) in (int, float) and 0 <= value <= 1,
        'storage': lambda value: value in STORAGES,
        'encoding': lambda value: type(value) is str and value in SUFFIXES,
        'shards': lambda value: type(value) is list and all(map(_is_shard, value))}
    for name, check in checks.items():
        if not check(facts[name]):
            raise ValueError(f'{path} has an invalid {name}: {str(facts[name])[:100]}. '
                             f'{_REMEDY}')


def _is_shard(row: Any) -> bool:
    return (type(row) is list and [type(value) for value in row] == [str, int, str]
            and row[1] > 0)
