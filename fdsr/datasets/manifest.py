"""Manifests of prepared faces: sharded, each shard with its own index on disk.

    FOLDER/manifest.json        facts, and the shards in their order
    FOLDER/000000/index.npy     a record for each face, mapped into memory
    FOLDER/000000/...           the images, as files or in pictures.lmdb

Nothing grows with the number of faces but the number of shards: what a process holds
is a number for each shard, and the few shards that it has open.
"""
from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np

from fdsr.datasets.image_storage import (
    ImageReader,
    forget_readers,
    open_reader,
)
from fdsr.utils.files import write_bytes

#: Raise it whenever the files' meaning changes.
FORMAT = 1
MANIFEST, INDEX = 'manifest.json', 'index.npy'
#: What ``manifest.json`` has to hold.
FACTS = ('format', 'split', 'count', 'size', 'alignment', 'eye_share', 'storage',
         'encoding', 'source', 'shards')
#: Shards that a process keeps open; each takes a file's handle, or two.
MOST_OPEN = 128


class Shard(NamedTuple):
    """A shard as the manifest lists it.

    Attributes:
        folder: Relative to the manifest's.
        count: Faces in it.
        digest: First 16 digits of the SHA-256 of its ``index.npy``.
    """

    folder: str
    count: int
    digest: str


def record_type(longest_name: int) -> np.dtype:
    """The type of an index's records.

    Args:
        longest_name: Bytes of the longest name of the shard.

    Returns:
        ``name``, UTF-8; ``key``, the image's number in the shard; ``landmarks``, five
        points in pixels of HR; ``side``, pixels of the source that HR's side stands
        for; ``padded``, share of HR that reflection filled; ``sharpness``, variance of
        the Laplacian; ``hash``, 64-bit dHash.
    """
    return np.dtype([
        ('name', f'S{max(longest_name, 1)}'), ('key', '<u4'),
        ('landmarks', '<f4', (5, 2)), ('side', '<f4'), ('padded', '<f4'),
        ('sharpness', '<f4'), ('hash', '<u8')])


COLUMNS = record_type(1).names


def digest_of(index: Path) -> str:
    """The digest that a manifest keeps of an ``index.npy``."""
    return hashlib.sha256(index.read_bytes()).hexdigest()[:16]


def write_manifest(folder: Path, facts: dict[str, Any], shards: Sequence[Shard]
                   ) -> Path:
    """Write ``manifest.json``; the shards have to be there already.

    Args:
        folder: Folder of the manifest and its shards.
        facts: Plain JSON, see :data:`FACTS`; ``format``, ``count`` and ``shards`` are
            added.
        shards: In the order of their faces.

    Returns:
        The file.
    """
    whole = {'format': FORMAT, **facts, 'count': sum(shard.count for shard in shards)}
    text = json.dumps(whole, indent=1)
    rows = ',\n  '.join(json.dumps(list(shard)) for shard in shards)
    text = f'{text[:-2]},\n "shards": [\n  {rows}\n ]\n}}\n'
    write_bytes(folder / MANIFEST, text.encode())
    return folder / MANIFEST


def join_manifests(folders: Sequence[str | os.PathLike], out: str | os.PathLike
                   ) -> Path:
    """Make one manifest of several; no image is moved.

    Args:
        folders: Folders of manifests whose faces were cut and written alike.
        out: Folder of the new one, which points to the shards where they are.

    Returns:
        The new ``manifest.json``.

    Raises:
        FileNotFoundError: One of them is missing.
        ValueError: They differ in size, cut, storage or encoding; or there is none.
    """
    manifests = [Manifest(folder) for folder in folders]
    if not manifests:
        raise ValueError('There is no manifest to join: give two or more folders.')
    first = manifests[0].facts
    for other in manifests[1:]:
        for fact in ('split', 'size', 'alignment', 'storage', 'encoding'):
            if other.facts[fact] != first[fact]:
                raise ValueError(
                    f'{other.folder} has {fact} {other.facts[fact]!r}, '
                    f'{manifests[0].folder} {first[fact]!r}: prepare them alike.')
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    shards = [Shard(os.path.relpath(manifest.folder / shard.folder, out), *shard[1:])
              for manifest in manifests for shard in manifest.shards]
    return write_manifest(out, _joined_facts(manifests), shards)


def _joined_facts(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What is common, the sums of what is counted, and the single sources."""
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
    """The faces of one ``manifest.json``.

    Args:
        folder: Folder of the manifest.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is malformed, or of another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.facts = _read_facts(self.folder / MANIFEST)
        shards = [Shard(*row) for row in self.facts.pop('shards')]
        self.shards = shards
        self.ends = np.cumsum([shard.count for shard in shards], dtype=np.int64)
        self._open: OrderedDict[int, tuple[np.ndarray, ImageReader]] = OrderedDict()
        _MANIFESTS.add(self)
        if len(self) != self.facts['count']:
            raise ValueError(f'{self.folder / MANIFEST} counts {self.facts["count"]} '
                             f'faces, its shards have {len(self)}. {_MEND}')

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def close(self) -> None:
        """Close the shards that are open; they open again when they are needed."""
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
        """The shard of a face, and the face's row in it."""
        shard = int(np.searchsorted(self.ends, index, side='right'))
        return shard, int(index - self.ends[shard] + self.shards[shard].count)

    def record(self, index: int) -> np.void:
        """A face's record, see :func:`record_type`.

        Raises:
            OSError, ValueError: The shard's index is missing, or not what it was.
        """
        shard, row = self.locate(index)
        return self.opened(shard)[0][row]

    def read(self, index: int) -> tuple[np.void, bytes]:
        """A face's record and its encoded image.

        Raises:
            OSError, ValueError: One of them is missing, or not what it was.
        """
        shard, row = self.locate(index)
        records, images = self.opened(shard)
        record = records[row]
        return record, images.read(int(record['key']), record['name'].decode())

    def opened(self, number: int) -> tuple[np.ndarray, ImageReader]:
        """A shard's records, mapped, and its images.

        Raises:
            OSError, ValueError: The index is missing, or not what it was.
        """
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        shard = self.shards[number]
        folder = self.folder / shard.folder
        records = np.load(folder / INDEX, mmap_mode='r')
        if len(records) != shard.count or records.dtype.names != COLUMNS:
            raise ValueError(f'{folder / INDEX} is not the index of {shard.count} '
                             f'faces that {self.folder / MANIFEST} lists. {_MEND}')
        self._open[number] = records, open_reader(
            folder, self.facts['storage'], self.facts['encoding'])
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1][1].close()
        return self._open[number]


_MANIFESTS: weakref.WeakSet[Manifest] = weakref.WeakSet()


def _begin_anew() -> None:
    """LMDB must not be used behind a fork: a worker opens its shards itself."""
    for manifest in _MANIFESTS:
        manifest._open.clear()
    forget_readers()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_begin_anew)

_MEND = 'Prepare the faces again: python tools/prepare_faces.py.'


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no manifest {path}. Give the folder that tools/prepare_faces.py '
            'has written, and a split that is in it; a run that was stopped writes its '
            'manifests when it is started again.')
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
        missing = [fact for fact in FACTS if fact not in facts]
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} is no manifest: {error}. {_MEND}') from error
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}. {_MEND}')
    if facts['format'] != FORMAT:
        raise ValueError(f'{path} has format {facts["format"]}, this version reads '
                         f'{FORMAT}. {_MEND}')
    return facts
