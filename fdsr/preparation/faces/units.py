"""One unit of work: it becomes a shard, all of it or nothing."""
from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fdsr.datasets.image_storage import (
    SUFFIXES,
    FolderImages,
    LmdbImages,
    encode,
)
from fdsr.datasets.manifest import record_type
from fdsr.datasets.vggface2_index import FaceIndex
from fdsr.preparation.faces.cutting import FaceCutter, Skipped
from fdsr.preparation.faces.plan import Plan, Unit
from fdsr.preparation.faces.settings import Settings
from fdsr.utils.files import write_bytes

WORK = '.work'
#: In it, (name, kind, reason) of the images whose names cannot be listed.
UNLISTED = 'unlisted.csv'


def measured_type(longest_name: int) -> np.dtype:
    """A record with what is only needed to find duplicates."""
    return np.dtype([*record_type(longest_name).descr, ('thumbnail', 'u1', 256)])


@dataclass(frozen=True)
class Job:
    """What a process has to know to do any unit.

    Attributes:
        settings: What is asked.
        out: Folder of the result.
        index: Folder of the index of all listed images.
        images: Folder that their paths start from.
    """

    settings: Settings
    out: Path
    index: Path
    images: Path

    @property
    def work(self) -> Path:
        """Folder of what is needed until the end."""
        return self.out / WORK

    def shard(self, unit: Unit) -> Path:
        """Folder of a unit's shard."""
        return self.out / unit.split / unit.folder

    def records(self, unit: Unit) -> Path:
        """Records of a unit's faces; it is done when they are there."""
        return self.work / 'units' / f'{unit.number:08d}.npy'

    def skipped(self, unit: Unit) -> Path:
        """CSV of a unit's images that became no face."""
        return self.records(unit).with_suffix('.csv')


def write_unit(job: Job, unit: Unit) -> None:
    """Make a unit's faces and write them.

    The shard's folder, the list of what was skipped and the records appear in this
    order, each whole; what an interrupted run has left of them is made again.

    Raises:
        OSError: Something cannot be written, e.g. because the disk is full.
    """
    part = job.work / f'{unit.number:08d}.part'
    shutil.rmtree(part, ignore_errors=True)
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
    """Write the images; returns records, and (name, kind, reason) of the others."""
    settings, index = job.settings, FaceIndex(job.index)
    cutter = FaceCutter(index, job.images, settings)
    rows = Plan(job.work).rows(unit)
    longest = max((len(index.paths[row]) for row in rows), default=1)
    records, skipped = np.zeros(len(rows), measured_type(longest)), []
    images, kept = _writer(settings, folder, len(rows)), 0
    try:
        for key, row in enumerate(rows.tolist()):
            name = index.name(row)
            try:
                face = cutter.cut(row)
            except Skipped as error:
                skipped.append((name, error.kind, error.reason))
                continue
            images.write(key, name,
                           encode(face.img, settings.encoding, settings.quality))
            for column, value in dict(name=name.encode(), key=key,
                                      **face.values).items():
                records[kept][column] = value
            kept += 1
    finally:
        images.close()
    return records[:kept], skipped


def _writer(settings: Settings, folder: Path, faces: int
            ) -> FolderImages | LmdbImages:
    if settings.storage == 'folder':
        return FolderImages(folder, SUFFIXES[settings.encoding])
    # never more than the pixels and some pages; the file is as large as what is in it
    most = settings.size * settings.size * 4 + 16384
    return LmdbImages(folder, room=faces * most + (1 << 20))


def as_csv(rows: list[tuple[str, ...]]) -> bytes:
    """Rows as a CSV file's bytes."""
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerows(  # which leaves \r out of quotes
        [cell.replace('\r', '\\r') if isinstance(cell, str) else cell for cell in row]
        for row in rows)
    return text.getvalue().encode('utf-8', 'surrogateescape')


def as_npy(array: np.ndarray) -> bytes:
    """An array as an ``.npy`` file's bytes: a full disk then tells that it is full."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
