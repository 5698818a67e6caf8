"""Assignment of faces to splits and shards before any image is read."""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fdsr.datasets.vggface2_index import FaceIndex
from fdsr.preparation.faces.settings import SPLITS, Settings
from fdsr.utils.files import write_bytes


class Unit(NamedTuple):
    """Unit of work that becomes one shard.

    Attributes:
        number: Number of the unit.
        split: ``test``, ``val`` or ``train``.
        folder: Name of the shard.
        first: Start in the rows of the plan.
        last: End in the rows of the plan, exclusive.
    """

    number: int
    split: str
    folder: str
    first: int
    last: int


def splits_of(identities: int, settings: Settings) -> np.ndarray:
    """Returns the index in ``SPLITS`` of each identity, uint8 (identities,).

    Raises:
        ValueError: Validation and test leave no identity for training.
    """
    if settings.landmarks is None and settings.listing == 'test':
        return np.full(identities, SPLITS.index('test'), np.uint8)
    counts = {}
    for split in ('test', 'val'):
        asked = getattr(settings, f'{split}_identities')
        counts[split] = round(asked * identities) if asked < 1 else int(asked)
    if sum(counts.values()) >= identities:
        raise ValueError(
            f'{counts["val"]} identities for val and {counts["test"]} for test leave '
            f'none of the {identities} for training: reduce them. If folders are not '
            'identities, use identity=picture, which makes each image an identity.')
    # numpy guarantees RandomState's stream: every version makes the same split
    order = np.random.RandomState(settings.seed).permutation(identities)
    splits = np.full(identities, SPLITS.index('train'), np.uint8)
    splits[order[:counts['test']]] = SPLITS.index('test')
    splits[order[counts['test']:counts['test'] + counts['val']]] = SPLITS.index('val')
    return splits


class Plan:
    """Units and the rows of the index in the order of writing.

    Args:
        folder: Output folder of :func:`make_plan`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = [Unit(number, *unit) for number, unit in enumerate(
            json.loads((folder / 'plan.json').read_text(encoding='utf-8')))]

    def rows(self, unit: Unit) -> np.ndarray:
        """Returns the rows of a unit, int32."""
        rows = np.load(self.folder / 'rows.npy', mmap_mode='r')
        return rows[unit.first:unit.last]


def make_plan(index: FaceIndex, settings: Settings, folder: Path) -> Plan:
    """Writes the plan if it is missing, and loads it.

    Args:
        index: Index of all listed images.
        settings: Settings of the preparation.
        folder: Folder of ``rows.npy`` and ``plan.json``.
    """
    if (folder / 'plan.json').exists():
        return Plan(folder)
    # if all images are in one folder, each of them is an identity
    identities = index.identities
    if settings.identity == 'picture' or index.facts['identities'] == 1:
        identities = np.arange(len(index), dtype=np.int32)
    splits = splits_of(int(identities.max()) + 1, settings)[identities]
    rows, units, first = [], [], 0
    for number, split in enumerate(SPLITS):
        rows.append(np.flatnonzero(splits == number).astype(np.int32))
        ends = first + len(rows[-1])
        starts = range(first, ends, settings.shard_size)
        units += [(split, f'{shard:06d}', start, min(start + settings.shard_size, ends))
                  for shard, start in enumerate(starts)]
        first = ends
    np.save(folder / 'rows.npy', np.concatenate(rows))
    write_bytes(folder / 'plan.json', json.dumps(units).encode())
    return Plan(folder)
