"""Atomic processing of a unit, which becomes a shard."""
from __future__ import annotations

import csv
import io
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from fdsr.datasets.image_storage import (
    SUFFIXES,
    FolderImages,
    LmdbWriter,
    TarWriter,
    encode,
)
from fdsr.datasets.manifest import record_type
from fdsr.datasets.vggface2_index import FaceIndex
from fdsr.preparation.faces.cutting import FaceCutter, Skipped
from fdsr.preparation.faces.plan import Plan, Unit
from fdsr.preparation.faces.settings import Settings
from fdsr.utils.files import write_bytes

WORK = '.work'
#: File in ``WORK`` with (name, kind, reason) of the images that cannot be listed.
UNLISTED = 'unlisted.csv'


@dataclass(frozen=True)
class Job:
    """Description of a preparation for worker processes.

    Attributes:
        settings: Settings of the preparation.
        out: Output folder.
        index: Folder of the index of all listed images.
        images: Root folder of the images.
    """

    settings: Settings
    out: Path
    index: Path
    images: Path

    @property
    def work(self) -> Path:
        """Folder of temporary files."""
        return self.out / WORK

    def shard(self, unit: Unit) -> Path:
        """Returns the folder of the shard of a unit."""
        return self.out / unit.split / unit.folder

    def records(self, unit: Unit) -> Path:
        """Returns the path of the records of a unit, which is finished if it exists."""
        return self.work / 'units' / f'{unit.number:08d}.npy'

    def skipped(self, unit: Unit) -> Path:
        """Returns the path of the CSV of the skipped images of a unit."""
        return self.records(unit).with_suffix('.csv')


def write_unit(job: Job, unit: Unit) -> None:
    """Processes a unit and writes its faces.

    The folder of the shard, the list of skipped images and the records are written
    atomically in this order. Leftovers of an interrupted run are overwritten. On a
    cluster, a node that counts as lost may still write the same unit: the names of the
    temporary folders differ.

    Raises:
        OSError: A file cannot be written, e.g. because the disk is full.
    """
    part = job.work / f'{unit.number:08d}.{uuid.uuid4().hex}.part'
    part.mkdir(parents=True)
    try:
        records, skipped = _write_images(job, unit, part)
        shard = job.shard(unit)
        if shard.exists():
            shutil.rmtree(shard)
        shard.parent.mkdir(exist_ok=True)
        part.rename(shard)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    job.records(unit).parent.mkdir(exist_ok=True)
    write_bytes(job.skipped(unit), as_csv(skipped))
    write_bytes(job.records(unit), as_npy(records))


def _write_images(job: Job, unit: Unit, folder: Path
                  ) -> tuple[np.ndarray, list[tuple[str, str, str]]]:
    """Writes the images; returns records, and (name, kind, reason) of skipped ones."""
    settings, index = job.settings, FaceIndex(job.index)
    cutter = FaceCutter(index, job.images, settings)
    rows = Plan(job.work).rows(unit)
    longest = max((len(index.paths[row]) for row in rows), default=1)
    # thumbnails are only needed to find duplicates
    records, skipped = np.zeros(len(rows), np.dtype(
        [*record_type(longest).descr, ('thumbnail', 'u1', 256)])), []
    images, kept = _writer(settings, folder, len(rows)), 0
    try:
        for key, row in enumerate(rows.tolist()):
            name = index.name(row)
            try:
                face = cutter.cut(row)
            except Skipped as error:
                skipped.append((name, error.kind, error.reason))
                continue
            data = encode(face.img, settings.encoding, settings.quality)
            images.write(key, name, data)
            for column, value in dict(name=name.encode(), key=key, crc=crc32(data),
                                      **face.values).items():
                records[kept][column] = value
            kept += 1
    finally:
        images.close()
    return records[:kept], skipped


def _writer(settings: Settings, folder: Path, faces: int
            ) -> FolderImages | LmdbWriter | TarWriter:
    if settings.storage == 'folder':
        return FolderImages(folder, SUFFIXES[settings.encoding])
    if settings.storage == 'tar':
        return TarWriter(folder, SUFFIXES[settings.encoding], faces)
    # upper limit: uncompressed pixels and some pages; the file itself is not larger
    # than its content
    most = settings.size * settings.size * 4 + 16384
    return LmdbWriter(folder, room=faces * most + (1 << 20))


def as_csv(rows: list[tuple[str, ...]]) -> bytes:
    """Encodes rows as a CSV file."""
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerows(  # csv does not quote \r
        [cell.replace('\r', '\\r') if isinstance(cell, str) else cell for cell in row]
        for row in rows)
    return text.getvalue().encode('utf-8', 'surrogateescape')


def as_npy(array: np.ndarray) -> bytes:
    """Encodes an array as an ``.npy`` file; np.save hides the error of a full disk."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
