"""VGGFace2's layout on disk, and its CSVs and lists read whole and checked."""
from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

BOX_COLUMNS = ('X', 'Y', 'W', 'H')
LANDMARK_COLUMNS = tuple(f'P{point}{axis}' for point in range(1, 6) for axis in 'XY')
SUFFIXES = (b'.jpg', b'.jpeg', b'.png', b'.bmp', b'.webp')
CHUNK = 100_000  # rows of a file that are Python objects at a time

LAYOUT = f"""VGGFace2's layout is expected:
  <data_root>/train/n000002/0001_01.jpg, <data_root>/test/n000001/...
  <data_root>/bb_landmark/loose_bb_<split>.csv        NAME_ID,{','.join(BOX_COLUMNS)}
  <data_root>/bb_landmark/loose_landmark_<split>.csv  NAME_ID,\
{','.join(LANDMARK_COLUMNS)}
  <data_root>/<split>_list.txt                        a path a line; optional
where <split> is train or test, NAME_ID is "n000002/0001_01" (no suffix), X,Y,W,H the
face's box, P1/P2 the eyes, P3 the nose tip, P4/P5 the mouth's corners (image-left
first), all in pixels of the image."""


class SplitFiles(NamedTuple):
    """Where one split's parts lie; ``listing`` need not exist."""

    images: Path
    boxes: Path
    landmarks: Path
    listing: Path

    def stamps(self) -> list[tuple[str, int, int]]:
        """(path, size, mtime in ns) of the CSVs and the list, size -1 if absent."""
        stamps = []
        for path in (self.boxes, self.landmarks, self.listing):
            stat = path.stat() if path.exists() else None
            size, mtime = (stat.st_size, stat.st_mtime_ns) if stat else (-1, 0)
            stamps.append((str(path.resolve()), size, mtime))
        return stamps


def find_files(data_root: str | os.PathLike, split: str) -> SplitFiles:
    """Locate a split's files.

    Args:
        data_root: Folder in VGGFace2's layout.
        split: ``train`` or ``test``.

    Raises:
        FileNotFoundError: The root, the split's image folder or a CSV is missing;
            says which and shows the layout.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise FileNotFoundError(
            f'data_root {root} is not a folder. Give the folder that holds the '
            f'images (--data-root DIR). {LAYOUT}')
    files = SplitFiles(root / split, root / 'bb_landmark' / f'loose_bb_{split}.csv',
                       root / 'bb_landmark' / f'loose_landmark_{split}.csv',
                       root / f'{split}_list.txt')
    if not files.images.is_dir():
        raise FileNotFoundError(f'No image folder {files.images}. {LAYOUT}')
    for path in (files.boxes, files.landmarks):
        if not path.is_file():
            raise FileNotFoundError(f'No CSV {path}. {LAYOUT}')
    return files


def read_csv(path: Path, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Read names and numbers of one of VGGFace2's CSVs.

    Args:
        path: The file.
        columns: The number columns wanted, in this order.

    Returns:
        Names, (N,) bytes (UTF-8), and numbers, (N, len(columns)) float32, with NaN
        where a cell is empty or is no number.

    Raises:
        ValueError: The file is empty, is no text, or lacks a column.
    """
    import pandas as pd

    wanted = ['NAME_ID', *columns]
    try:
        _check_columns(path, wanted)
        try:
            names, numbers = _read_table(path, wanted, np.float32)
        except pd.errors.ParserError:
            raise
        except ValueError:  # a cell that is no number: find it, the others are good
            names, numbers = _read_table(path, wanted, object)
    except (pd.errors.ParserError, pd.errors.EmptyDataError,
            UnicodeDecodeError) as error:
        raise ValueError(f'{path} is no good CSV: {error}. Expected rows of the '
                         f'columns {",".join(wanted)}. {LAYOUT}') from error
    return names, numbers


def _check_columns(path: Path, wanted: list[str]) -> None:
    import pandas as pd

    found = pd.read_csv(path, nrows=0, skipinitialspace=True).columns
    missing = [column for column in wanted if column not in found]
    if missing:
        raise ValueError(
            f'{path} lacks the column(s) {", ".join(missing)}: expected '
            f'{",".join(wanted)}, found {",".join(map(str, found))}. {LAYOUT}')


def _read_table(path: Path, wanted: list[str], dtype: type
                ) -> tuple[np.ndarray, np.ndarray]:
    """Read in chunks: a Python string for each of millions of rows is too much."""
    import pandas as pd

    columns = wanted[1:]
    chunks = pd.read_csv(
        path, engine='c', usecols=wanted, skipinitialspace=True, chunksize=CHUNK,
        dtype={'NAME_ID': object, **dict.fromkeys(columns, dtype)},
        keep_default_na=False,
        na_values=dict.fromkeys(columns, ['', 'nan', 'NaN', 'NA', 'null']))
    names, numbers = [np.empty(0, 'S1')], [np.empty((0, len(columns)), np.float32)]
    for chunk in chunks:
        names.append(np.array([name.encode() for name in chunk['NAME_ID']], 'S'))
        if dtype is object:
            chunk = chunk[columns].apply(pd.to_numeric, errors='coerce')
        numbers.append(chunk[columns].to_numpy(np.float32))
    return np.concatenate(names), np.concatenate(numbers)


def read_listing(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a list of images, a path a line.

    Args:
        path: ``<split>_list.txt``.

    Returns:
        Names without suffix, (N,) bytes, and paths with one (``.jpg`` where the line
        has none), (N,) bytes.

    Raises:
        ValueError: The file holds no line, or one that is no UTF-8.
    """
    names, paths, before = [], [], 0
    with path.open('rb') as file:
        while chunk := list(itertools.islice(file, CHUNK)):
            _check_text(path, chunk, before)
            before += len(chunk)
            lines = [line for line in map(bytes.strip, chunk) if line]
            stems = [_without_suffix(line) for line in lines]
            names.append(np.array(stems, 'S'))
            paths.append(np.array([stem + b'.jpg' if stem == line else line
                                   for stem, line in zip(stems, lines)], 'S'))
    if not sum(map(len, names)):
        raise ValueError(f'{path} is empty. Expected an image\'s path a line, e.g. '
                         'n000002/0001_01.jpg; without the file the CSV\'s order is '
                         'taken.')
    return np.concatenate(names), np.concatenate(paths)


def _check_text(path: Path, lines: list[bytes], before: int) -> None:
    try:
        b''.join(lines).decode()
    except UnicodeDecodeError as error:
        number = before + 1 + error.object[:error.start].count(b'\n')
        raise ValueError(
            f'{path}, line {number}: {lines[number - before - 1]!r} is no UTF-8. Write '
            'the list in UTF-8, or rename the image.') from error


def _without_suffix(line: bytes) -> bytes:
    if line.endswith(b'.jpg'):  # nearly always; splitext takes its time
        return line[:-4]
    stem, suffix = os.path.splitext(line)
    return stem if suffix.lower() in SUFFIXES else line
