"""Which faces go to which split and shard, settled before the first is read."""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fdsr.datasets.vggface2_index import FaceIndex
from fdsr.preparation.faces.settings import SPLITS, Settings
from fdsr.utils.files import write_bytes


class Unit(NamedTuple):
    """The work that becomes one shard.

    Attributes:
        number: Of all units.
        split: ``test``, ``val`` or ``train``.
        folder: Name of the shard.
        first: Its first place in the plan's rows.
        last: Behind its last.
    """

    number: int
    split: str
    folder: str
    first: int
    last: int


def identities_of(index: FaceIndex, settings: Settings) -> np.ndarray:
    """int32 (N,), who is on each image.

    Where all images lie in one folder, that folder is nobody: each is a person.
    """
    if settings.identity == 'picture' or index.facts['identities'] == 1:
        return np.arange(len(index), dtype=np.int32)
    return index.identities


def splits_of(identities: int, settings: Settings) -> np.ndarray:
    """uint8 (identities,), the number in ``SPLITS`` of each identity's split.

    Raises:
        ValueError: So many are for validation and test that none is left to train on.
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
            f'none of the {identities} to train on: ask for fewer. If folders are no '
            'persons, identity=picture takes each image for one.')
    # RandomState's stream is frozen: the same split with every numpy
    order = np.random.RandomState(settings.seed).permutation(identities)
    splits = np.full(identities, SPLITS.index('train'), np.uint8)
    splits[order[:counts['test']]] = SPLITS.index('test')
    splits[order[counts['test']:counts['test'] + counts['val']]] = SPLITS.index('val')
    return splits


class Plan:
    """Rows of the index in the order in which they are written, and the units.

    Args:
        folder: Folder that :func:`make_plan` wrote to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = [Unit(number, *unit) for number, unit in enumerate(
            json.loads((folder / 'plan.json').read_text(encoding='utf-8')))]

    def rows(self, unit: Unit) -> np.ndarray:
        """int32, the rows of the index that a unit looks at."""
        rows = np.load(self.folder / 'rows.npy', mmap_mode='r')
        return rows[unit.first:unit.last]


def make_plan(index: FaceIndex, settings: Settings, folder: Path) -> Plan:
    """Write the plan, unless it is there.

    Args:
        index: All listed images.
        settings: What is asked.
        folder: Folder of ``rows.npy`` and ``plan.json``.
    """
    if (folder / 'plan.json').exists():
        return Plan(folder)
    identities = identities_of(index, settings)
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
