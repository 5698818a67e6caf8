"""Last steps of a preparation: duplicates, indices, reports, manifests.

Everything is derived from the records of the units, which are kept until the end, so
that an interruption is harmless.
"""
from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.datasets.image_storage import SUFFIXES, FolderImages
from fdsr.datasets.manifest import (
    INDEX,
    Shard,
    digest_of,
    record_type,
    write_manifest,
)
from fdsr.datasets.vggface2_index import FaceIndex
from fdsr.geometry import alignment
from fdsr.preparation.faces.cutting import DUPLICATE
from fdsr.preparation.faces.duplicates import distances, earliest_alike
from fdsr.preparation.faces.plan import Plan, Unit
from fdsr.preparation.faces.reports import SplitStatistics, write_sheet
from fdsr.preparation.faces.settings import SPLITS
from fdsr.preparation.faces.units import UNLISTED, Job, as_csv, as_npy
from fdsr.utils.files import atomic_path, write_bytes

#: Maximum mean difference of the thumbnails of duplicates, in grey levels. Copies at
#: half the size and JPEG quality 40 differ by at most 2, portraits of different people
#: by at least 12 (245,000 pairs).
SAME_THUMBNAIL = 6
DONE = 'prepared.json'
SKIPPED, REPORT = 'skipped.csv', 'report.csv'


def finish(job: Job, plan: Plan, request: dict[str, Any]) -> dict[str, Any]:
    """Writes manifests and reports from finished units.

    Args:
        job: The job.
        plan: The units, all of them finished.
        request: The request as plain JSON.

    Returns:
        The summary: ``request`` and the counts of each split.

    Raises:
        OSError: A file cannot be written.
        ValueError: No face remains.
    """
    alike = _Alike(job, plan)
    statistics = {split: SplitStatistics() for split in SPLITS}
    shards: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    with (atomic_path(job.out / SKIPPED) as part,
          part.open('w', encoding='utf-8', newline='') as file):
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(('split', 'name', 'kind', 'reason'))
        for unit in plan.units:
            records = np.load(job.records(unit))
            kept, skipped = _filtered(job, unit, records, alike)
            writer.writerows((unit.split, *row) for row in skipped)
            statistics[unit.split].add(kept, skipped, job.settings.size)
            if len(kept):
                shards[unit.split].append(_write_index(job, unit, records, kept))
            else:
                shutil.rmtree(job.shard(unit), ignore_errors=True)
        writer.writerows(('', name, 'note', note)
                         for name, note in FaceIndex(job.index).notes())
        if (job.work / UNLISTED).exists():
            with (job.work / UNLISTED).open(encoding='utf-8', newline='') as unlisted:
                writer.writerows(('', *row) for row in csv.reader(unlisted))
    if not any(shards.values()):
        raise ValueError(f'None of {plan.units[-1].last} faces remains; '
                         f'{job.out / SKIPPED} lists the reasons. Relax the filters or '
                         'fix the data; then remove the folder and start again.')
    return _write_ends(job, plan, request, statistics, shards)


def _write_ends(job: Job, plan: Plan, request: dict[str, Any],
                statistics: dict[str, SplitStatistics],
                shards: dict[str, list[Shard]]) -> dict[str, Any]:
    """Writes report, contact sheet, manifests and the final summary."""
    splits = {split: statistics[split].summary() for split in SPLITS
              if any(unit.split == split for unit in plan.units)}
    rows = [('split', 'what', 'faces')]
    for split in splits:
        rows += [(split, what, count) for what, count in statistics[split].rows()]
    write_bytes(job.out / REPORT, as_csv(rows))
    for split in splits:
        (job.out / split).mkdir(exist_ok=True)
        write_manifest(job.out / split, _facts(job, plan, split, splits), shards[split])
    write_sheet(job.out, [split for split in reversed(SPLITS) if shards[split]])
    summary = dict(request=request, splits=splits)
    write_bytes(job.out / DONE, json.dumps(summary, indent=1).encode())
    return summary


def _facts(job: Job, plan: Plan, split: str, splits: dict[str, dict[str, Any]]
           ) -> dict[str, Any]:
    settings = job.settings
    filters = {name: getattr(settings, name) for name in (
        'min_side', 'min_box_side', 'min_sharpness', 'duplicates')}
    found = splits[split]
    eyes = (settings.eye_share if settings.align == 'five_point'
            else found['mean_eye_share'])
    return dict(
        split=split, size=settings.size, alignment=alignment.crop_in_words(
            settings.align != 'box', settings.crop_scale, settings.eye_share,
            settings.size),
        align=settings.align, eye_share=eyes, storage=settings.storage,
        encoding=settings.encoding,
        quality=settings.quality if settings.encoding == 'jpeg' else None,
        source=dict(data=job.images.resolve().name,
                    list=None if settings.landmarks else settings.listing,
                    landmarks=FaceIndex(job.index).facts['files']['landmarks']),
        part=dict(val_identities=settings.val_identities,
                  test_identities=settings.test_identities,
                  identity=settings.identity, seed=settings.seed),
        filters=filters, listed=found['listed'], left_out=found['skipped'],
        up_sampled=found['up_sampled'], padded=found['padded'])


class _Alike:
    """Earliest duplicate of each face."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self.job, self.plan = job, plan
        counts = [len(np.load(job.records(unit), mmap_mode='r')) for unit in plan.units]
        self.ends = np.cumsum(counts)
        if job.settings.duplicates is None:
            return
        total = int(self.ends[-1])
        self.hashes = _mapped(job.work / 'hashes.npy', np.uint64, (total,))
        self.thumbnails = _mapped(job.work / 'thumbnails.npy', np.uint8, (total, 256))
        exact = _mapped(job.work / 'exact.npy', np.uint64, (total,))
        weights = np.random.RandomState(0).randint(0, 2**63, 256).astype(np.uint64)
        for unit, end, count in zip(plan.units, self.ends, counts):
            records, part = np.load(job.records(unit)), slice(end - count, end)
            self.hashes[part] = records['hash']
            self.thumbnails[part] = records['thumbnail']
            exact[part] = (records['thumbnail'] * (2 * weights + 1)).sum(axis=1)
        self.found = earliest_alike(
            self.hashes, job.settings.duplicates,
            _mapped(job.work / 'alike.npy', np.int64, (total,)),
            exact=exact, confirm=self._same)

    def _same(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns a mask (M,) of pairs with the same thumbnail."""
        same = np.empty(len(first), bool)
        for start in range(0, len(first), 10_000):
            part = slice(start, start + 10_000)
            same[part] = self.difference(first[part], second[part]) <= SAME_THUMBNAIL
        return same

    def difference(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Returns the mean differences of thumbnails, float (M,), in grey levels."""
        one = self.thumbnails[first].astype(np.int16)
        return np.abs(one - self.thumbnails[second]).mean(axis=1)

    def of(self, unit: Unit, count: int) -> np.ndarray:
        """Returns the place of the earlier duplicate, int64 (count,), or -1."""
        if self.job.settings.duplicates is None:
            return np.full(count, -1)
        end = int(self.ends[unit.number])
        return np.array(self.found[end - count:end])

    def reason(self, unit: Unit, row: int, count: int) -> str:
        """Describes the duplicate of a face."""
        place = int(self.ends[unit.number]) - count + row
        first = int(self.found[place])
        number = int(np.searchsorted(self.ends, first, side='right'))
        records = np.load(self.job.records(self.plan.units[number]), mmap_mode='r')
        record = records[first - int(self.ends[number]) + len(records)]
        bits = distances(self.hashes[first:first + 1], self.hashes[place:place + 1])
        return (f'like {record["name"].decode()} in {self.plan.units[number].split}: '
                f'{bits[0]} of 64 bits differ')


def _mapped(path: Path, kind: type, shape: tuple[int, ...]) -> np.ndarray:
    """Creates a memory-mapped array, which may be larger than the memory."""
    if not shape[0]:
        return np.empty(shape, kind)
    return np.lib.format.open_memmap(path, 'w+', kind, shape)


def _filtered(job: Job, unit: Unit, records: np.ndarray, alike: _Alike
              ) -> tuple[np.ndarray, list[tuple[str, str, str]]]:
    """Returns the records without duplicates, and (name, kind, reason) of the rest."""
    with job.skipped(unit).open(encoding='utf-8', newline='') as file:
        skipped = [tuple(row) for row in csv.reader(file)]
    again = alike.of(unit, len(records)) >= 0
    for row in np.flatnonzero(again):
        skipped.append((records[row]['name'].decode(), DUPLICATE,
                        alike.reason(unit, int(row), len(records))))
    return records[~again], skipped


def _write_index(job: Job, unit: Unit, records: np.ndarray, kept: np.ndarray) -> Shard:
    """Writes the index of a shard and removes images that it does not list."""
    folder = job.shard(unit)
    columns = record_type(kept.dtype['name'].itemsize).descr
    # an earlier version may have started this preparation without CRCs
    index = np.empty(len(kept), [
        column for column in columns if column[0] in kept.dtype.names])
    for column in index.dtype.names:
        index[column] = kept[column]
    write_bytes(folder / INDEX, as_npy(index))
    if job.settings.storage == 'folder':
        images = FolderImages(folder, SUFFIXES[job.settings.encoding])
        for record in records[~np.isin(records['key'], kept['key'])]:
            images.remove(record['name'].decode())
    return Shard(unit.folder, len(kept), digest_of(folder / INDEX))
