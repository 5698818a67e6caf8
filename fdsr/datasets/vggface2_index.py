"""Index of a VGGFace2 split: built once, cached, memory-mapped."""
from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fdsr.datasets.vggface2_files import (
    BOX_COLUMNS,
    LANDMARK_COLUMNS,
    SplitFiles,
    read_csv,
    read_listing,
)
from fdsr.utils.files import atomic_path

#: Version of the file format; caches of other versions are rebuilt.
FORMAT = 1

#: Values of ``FaceIndex.status``.
STATUS = ('usable',
          'no row in {boxes}',
          'no row in {landmarks}',
          'a number is missing in its row of {boxes}',
          'a number is missing in its row of {landmarks}',
          'its box has no width or no height in {boxes}')
USABLE, NO_BOX, NO_LANDMARKS, NAN_BOX, NAN_LANDMARKS, EMPTY_BOX = range(len(STATUS))

#: Errors of opening a cache that is missing, incomplete or corrupt.
UNUSABLE = (OSError, ValueError, EOFError, KeyError)

ARRAYS = ('paths', 'boxes', 'landmarks', 'identities', 'status')


class FaceIndex:
    """Index of all listed images of a split, one row each, in the order of the list.

    The arrays are memory-mapped files: processes share their pages, and a pickled index
    contains only the path.

    - ``paths``: bytes (N,), UTF-8, relative to the folder of the split, with suffix;
    - ``boxes``: float32 (N, 4), X, Y, W, H; ``landmarks``: float32 (N, 5, 2); both in
      pixels of the image, NaN if missing;
    - ``identities``: int32 (N,), numbered in the order of their first image;
    - ``status``: uint8 (N,), an index into :data:`STATUS`.

    Args:
        folder: Folder written by :func:`build`.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.facts: dict[str, Any] = json.loads(
            (self.folder / 'facts.json').read_text(encoding='utf-8'))

    def __len__(self) -> int:
        return self.facts['listed']

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items()
                if name not in ARRAYS}

    def __getattr__(self, name: str) -> np.ndarray:
        """Maps an array on first access."""
        if name not in ARRAYS:
            raise AttributeError(name)
        self.__dict__[name] = np.load(self.folder / f'{name}.npy', mmap_mode='r')
        return self.__dict__[name]

    def path(self, row: int) -> str:
        """Returns the path of an image relative to the folder of the split."""
        return self.paths[row].decode()

    def name(self, row: int) -> str:
        """Returns the path without suffix, e.g. ``n000002/0001_01``."""
        return os.path.splitext(self.path(row))[0]

    def reason(self, status: int) -> str:
        """Describes a status."""
        return STATUS[status].format(**self.facts['files'])

    def notes(self) -> list[tuple[str, str]]:
        """Returns (name, note) of ignored duplicate rows."""
        with (self.folder / 'notes.csv').open(encoding='utf-8', newline='') as file:
            return [(name, note) for name, note in csv.reader(file)]


def open_index(files: SplitFiles, split: str,
               cache_dir: str | os.PathLike | None = None) -> FaceIndex:
    """Opens the cached index of a split, or builds it.

    The key of the cache consists of the paths, sizes and modification times of the CSVs
    and the list, and of the format version. Images are not opened.

    Args:
        files: Files of the split.
        split: ``train`` or ``test``, for the name of the cache.
        cache_dir: Folder of caches; default: ``<data_root>/.fdsr_cache`` or, if that is
            not writable, ``~/.cache/fdsr``.

    Raises:
        PermissionError: No cache folder is writable.
        OSError: The disk is full.
        ValueError: A CSV or the list is malformed.
    """
    key = json.dumps([FORMAT, split, files.stamps()])
    name = f'vggface2_{split}_{hashlib.sha256(key.encode()).hexdigest()[:16]}'
    if cache_dir is None:
        home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        choices = [files.listing.parent / '.fdsr_cache', Path(home) / 'fdsr']
    else:
        choices = [Path(cache_dir)]
    for folder in choices:
        with contextlib.suppress(*UNUSABLE):
            return _checked(FaceIndex(folder / name))
    folder = _writable(choices)
    # only one process builds, because building needs much memory
    with FileLock(folder / f'{name}.lock'):
        with contextlib.suppress(*UNUSABLE):  # another process has built it
            return _checked(FaceIndex(folder / name))
        build(files, folder / name)
    return FaceIndex(folder / name)


def _writable(folders: list[Path]) -> Path:
    errors = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f'.{uuid.uuid4().hex}'
            probe.touch()
            probe.unlink()
            return folder
        except OSError as error:
            errors.append(f'{folder} ({error.strerror})')
    raise PermissionError('The index of the dataset cannot be cached: '
                          f'{", ".join(errors)}. Pass a writable cache_dir.')


def _checked(index: FaceIndex) -> FaceIndex:
    """Returns the index after checking the headers of its arrays."""
    for name in ARRAYS:
        array = getattr(index, name)
        if len(array) != len(index):
            raise ValueError(f'{index.folder}/{name}.npy has {len(array)} rows.')
    return index


def build(files: SplitFiles, folder: Path) -> None:
    """Reads CSVs and list of a split and writes its index.

    Args:
        files: Files of the split.
        folder: Folder to write atomically.

    Raises:
        ValueError: A CSV or the list is malformed.
    """
    notes: list[tuple[str, str]] = []
    box_names, box_rows = _first_ones(files.boxes, BOX_COLUMNS, notes)
    names, paths = _listed(files, box_names, notes)
    boxes, no_box, extra_boxes = _in_order(names, box_names, box_rows)
    del box_names, box_rows
    points, no_points, extra_points = _in_order(
        names, *_first_ones(files.landmarks, LANDMARK_COLUMNS, notes))
    identities = _identities(names)
    status = np.select(
        [no_box, np.isnan(boxes).any(1), (boxes[:, 2:] <= 0).any(1), no_points,
         np.isnan(points).any(1)],
        [NO_BOX, NAN_BOX, EMPTY_BOX, NO_LANDMARKS, NAN_LANDMARKS],
        USABLE).astype(np.uint8)
    facts = dict(listed=len(paths), identities=int(identities.max()) + 1,
                 list_file=files.listing.name if files.listing.exists() else None,
                 rows_not_listed={files.boxes.name: extra_boxes,
                                  files.landmarks.name: extra_points},
                 passed_over=len(notes),
                 files=dict(boxes=files.boxes.name, landmarks=files.landmarks.name))
    arrays = dict(paths=paths, boxes=boxes, landmarks=points.reshape(-1, 5, 2),
                  identities=identities, status=status)
    _write(folder, arrays, facts, notes)


def _first_ones(path: Path, columns: tuple[str, ...], notes: list[tuple[str, str]]
                ) -> tuple[np.ndarray, np.ndarray]:
    """Reads names and numbers of a CSV without duplicate names."""
    names, numbers = read_csv(path, columns)
    numbers[~np.isfinite(numbers)] = np.nan
    return _unique(names, numbers, f'duplicate in {path.name}: the first row is used',
                   notes)


def _unique(names: np.ndarray, values: np.ndarray, note: str,
            notes: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Removes and notes names that occurred before, and their values."""
    order = np.argsort(names, kind='stable')  # fast for sorted names
    in_order = names[order]
    again = np.zeros(len(names), bool)
    again[order[1:]] = in_order[1:] == in_order[:-1]
    if not again.any():
        return names, values
    notes.extend((name.decode(), note) for name in names[again])
    return names[~again], values[~again]


def _listed(files: SplitFiles, box_names: np.ndarray, notes: list[tuple[str, str]]
            ) -> tuple[np.ndarray, np.ndarray]:
    """Returns names and paths from the list or, without a list, from the boxes."""
    if not files.listing.exists():
        if not len(box_names):
            raise ValueError(f'{files.boxes} has no row and {files.listing.name} is '
                             'missing: nothing to index.')
        return box_names, np.char.add(box_names, b'.jpg')
    return _unique(*read_listing(files.listing), f'duplicate in {files.listing.name}',
                   notes)


def _in_order(listed: np.ndarray, names: np.ndarray, numbers: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, int]:
    """Sorts the rows of a CSV in the order of the list.

    Returns:
        Numbers (N, C) with NaN for missing rows, a mask (N,) of missing rows, and the
        number of rows that are not listed.
    """
    if np.array_equal(listed, names):  # as released
        return numbers, np.zeros(len(listed), bool), 0
    found = np.full((len(listed), numbers.shape[1]), np.nan, np.float32)
    if not len(names):
        return found, np.ones(len(listed), bool), 0
    order = np.argsort(names, kind='stable')
    places = np.searchsorted(names, listed, sorter=order)
    rows = order[np.minimum(places, len(names) - 1)]
    known = names[rows] == listed
    found[known] = numbers[rows[known]]
    return found, ~known, len(names) - int(known.sum())


def _identities(names: np.ndarray) -> np.ndarray:
    """Returns the number of each name's folder, int32 (N,), by first appearance."""
    letters = names.view(np.uint8).reshape(len(names), -1)
    # characters up to the last slash
    is_slash = letters[:, ::-1] == ord('/')
    in_folder = np.logical_or.accumulate(is_slash, axis=1)[:, ::-1]
    folders = np.where(in_folder, letters, 0).view(names.dtype).ravel()
    starts = np.flatnonzero(np.append(True, folders[1:] != folders[:-1]))
    _, first, run = np.unique(folders[starts], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    lengths = np.diff(np.append(starts, len(names)))
    return np.repeat(rank[run], lengths).astype(np.int32)


def _write(folder: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any],
           notes: list[tuple[str, str]]) -> None:
    try:
        with atomic_path(folder, folder=True) as part:
            for name, array in arrays.items():
                np.save(part / f'{name}.npy', array)
            with (part / 'notes.csv').open('w', encoding='utf-8', newline='') as file:
                csv.writer(file).writerows(notes)
            (part / 'facts.json').write_text(json.dumps(facts, indent=1),
                                             encoding='utf-8')
    except OSError as error:
        raise OSError(f'The index of the dataset cannot be written to {folder} '
                      f'({error}). Free disk space, or pass another cache_dir.'
                      ) from error
