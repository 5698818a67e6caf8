"""The index of one VGGFace2 split: built once, cached, mapped into memory."""
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

#: Raise it whenever the arrays' meaning changes: older caches are then built anew.
FORMAT = 1

#: What ``FaceIndex.status`` means.
STATUS = ('usable',
          'no row in {boxes}',
          'no row in {landmarks}',
          'a number is missing in its row of {boxes}',
          'a number is missing in its row of {landmarks}',
          'its box has no width or no height in {boxes}')
USABLE, NO_BOX, NO_LANDMARKS, NAN_BOX, NAN_LANDMARKS, EMPTY_BOX = range(len(STATUS))

#: What opening a cache raises that is absent, half copied or was tampered with.
UNUSABLE = (OSError, ValueError, EOFError, KeyError)

ARRAYS = ('paths', 'boxes', 'landmarks', 'identities', 'status')


class FaceIndex:
    """Every listed image of a split, in the list's order, one row each.

    The arrays are files mapped into memory: processes share their pages, and a
    pickled index is a path.

    - ``paths``: bytes (N,), UTF-8, relative to the split's folder, with the suffix;
    - ``boxes``: float32 (N, 4), X, Y, W, H; ``landmarks``: float32 (N, 5, 2); both in
      pixels of the image, NaN where there are none;
    - ``identities``: int32 (N,), numbered in the order of their first image;
    - ``status``: uint8 (N,), an entry of :data:`STATUS`.

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
        """Map an array when it is first asked for; it is found without this then."""
        if name not in ARRAYS:
            raise AttributeError(name)
        self.__dict__[name] = np.load(self.folder / f'{name}.npy', mmap_mode='r')
        return self.__dict__[name]

    def path(self, row: int) -> str:
        """Path of an image relative to the split's folder, with its suffix."""
        return self.paths[row].decode()

    def name(self, row: int) -> str:
        """``path`` without the suffix, e.g. ``n000002/0001_01``."""
        return os.path.splitext(self.path(row))[0]

    def reason(self, status: int) -> str:
        """A row's status in words: why it cannot be used, or ``usable``."""
        return STATUS[status].format(**self.facts['files'])

    def notes(self) -> list[tuple[str, str]]:
        """(name, note) of rows passed over although their image stays in."""
        with (self.folder / 'notes.csv').open(encoding='utf-8', newline='') as file:
            return [(name, note) for name, note in csv.reader(file)]


def open_index(files: SplitFiles, split: str,
               cache_dir: str | os.PathLike | None = None) -> FaceIndex:
    """Open the cached index of a split, building it first where there is none.

    The cache is keyed by the paths, sizes and modification times of the CSVs and the
    list, and by the format's version. No image is looked at: their number is in the
    millions.

    Args:
        files: The split's files.
        split: ``train`` or ``test``, for the cache's name.
        cache_dir: Folder of caches. ``None`` takes ``<data_root>/.fdsr_cache`` if it
            can be written, and ``~/.cache/fdsr`` otherwise.

    Raises:
        PermissionError: No cache folder can be written.
        OSError: The disk is full.
        ValueError: A CSV or the list is malformed.
    """
    key = json.dumps([FORMAT, split, files.stamps()])
    name = f'vggface2_{split}_{hashlib.sha256(key.encode()).hexdigest()[:16]}'
    choices = [Path(cache_dir)] if cache_dir is not None else _default_folders(files)
    for folder in choices:
        with contextlib.suppress(*UNUSABLE):
            return _checked(FaceIndex(folder / name))
    folder = _writable(choices)
    # one process builds while the others wait: each would need the memory
    with FileLock(folder / f'{name}.lock'):
        with contextlib.suppress(*UNUSABLE):  # built while we waited
            return _checked(FaceIndex(folder / name))
        build(files, folder / name)
    return FaceIndex(folder / name)


def _default_folders(files: SplitFiles) -> list[Path]:
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return [files.listing.parent / '.fdsr_cache', Path(home) / 'fdsr']


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
                          f'{", ".join(errors)}. Give a writable cache_dir.')


def _checked(index: FaceIndex) -> FaceIndex:
    """The index, if its arrays are whole; their headers are all that is read."""
    for name in ARRAYS:
        array = getattr(index, name)
        if len(array) != len(index):
            raise ValueError(f'{index.folder}/{name}.npy has {len(array)} rows.')
    return index


def build(files: SplitFiles, folder: Path) -> None:
    """Read a split's CSVs and list, and write its index.

    Args:
        files: The split's files.
        folder: Folder to write; it appears when all of it is there.

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
    """A CSV's names and numbers, without rows whose name came before."""
    names, numbers = read_csv(path, columns)
    numbers[~np.isfinite(numbers)] = np.nan
    again = _repeated(names)
    if again.any():
        notes.extend((name.decode(), f'twice in {path.name}: the first row counts')
                     for name in names[again])
        names, numbers = names[~again], numbers[~again]
    return names, numbers


def _repeated(names: np.ndarray) -> np.ndarray:
    """(N,) bool, whether a name came before."""
    order = np.argsort(names, kind='stable')  # quick where they are sorted already
    in_order = names[order]
    again = np.zeros(len(names), bool)
    again[order[1:]] = in_order[1:] == in_order[:-1]
    return again


def _listed(files: SplitFiles, box_names: np.ndarray, notes: list[tuple[str, str]]
            ) -> tuple[np.ndarray, np.ndarray]:
    """Names and paths of the list, or of the CSV of boxes where there is no list."""
    if not files.listing.exists():
        if not len(box_names):
            raise ValueError(f'{files.boxes} has no row, and there is no '
                             f'{files.listing.name}: nothing to index.')
        return box_names, np.char.add(box_names, b'.jpg')
    names, paths = read_listing(files.listing)
    again = _repeated(names)
    if again.any():
        notes.extend((name.decode(), f'twice in {files.listing.name}')
                     for name in names[again])
        names, paths = names[~again], paths[~again]
    return names, paths


def _in_order(wanted: np.ndarray, names: np.ndarray, numbers: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of a CSV in the list's order.

    Returns:
        Numbers (N, C) with NaN where a name has no row, (N,) bool of those, and how
        many of the CSV's rows nobody asked for.
    """
    if np.array_equal(wanted, names):  # as released
        return numbers, np.zeros(len(wanted), bool), 0
    found = np.full((len(wanted), numbers.shape[1]), np.nan, np.float32)
    if not len(names):
        return found, np.ones(len(wanted), bool), 0
    order = np.argsort(names, kind='stable')
    places = np.searchsorted(names, wanted, sorter=order)
    rows = order[np.minimum(places, len(names) - 1)]
    known = names[rows] == wanted
    found[known] = numbers[rows[known]]
    return found, ~known, len(names) - int(known.sum())


def _identities(names: np.ndarray) -> np.ndarray:
    """int32 (N,), the number of a name's folder in the order of first appearance."""
    letters = names.view(np.uint8).reshape(len(names), -1)
    # all of a name that has a slash at or behind it
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
                      f'({error}). Make room there, or give another cache_dir.'
                      ) from error
