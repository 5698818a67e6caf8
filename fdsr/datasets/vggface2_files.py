"""VGGFace2's layout on disk; readers of its CSVs and lists."""
from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fdsr.datasets import image_formats
from fdsr.utils import storage
from fdsr.utils.csv_rows import (
    LONGEST_NAME,
    MOST_COLUMNS,
    cells_of,
    check_decimal_comma,
    malformed,
    read_lines,
)

BOX_COLUMNS = ('X', 'Y', 'W', 'H')
LANDMARK_COLUMNS = tuple(f'P{point}{axis}' for point in range(1, 6) for axis in 'XY')
SUFFIXES = tuple(suffix.encode() for suffix in image_formats.SUFFIXES)
CHUNK = 100_000  # lines of a list that are converted to Python objects at a time

LAYOUT = f"""VGGFace2's layout is expected:
  <data_root>/train/n000002/0001_01.jpg, <data_root>/test/n000001/...
  <data_root>/bb_landmark/loose_bb_<split>.csv        NAME_ID,{','.join(BOX_COLUMNS)}
  <data_root>/bb_landmark/loose_landmark_<split>.csv  NAME_ID,\
{','.join(LANDMARK_COLUMNS)}
  <data_root>/<split>_list.txt                        one path per line; optional
where <split> is train or test, NAME_ID is "n000002/0001_01" (no suffix), X,Y,W,H the
box of the face, P1/P2 the eyes, P3 the nose tip, P4/P5 the mouth corners (image-left
first), all in pixels of the image."""


class SplitFiles(NamedTuple):
    """Paths of the files of one split; ``listing`` may be missing."""

    images: Path
    boxes: Path
    landmarks: Path
    listing: Path

    def stamps(self) -> list[tuple[str, int, int]]:
        """Returns (path, size, mtime in ns) of CSVs and list; size -1 if missing."""
        stamps = []
        for path in (self.boxes, self.landmarks, self.listing):
            stat = path.stat() if path.exists() else None
            size, mtime = (stat.st_size, stat.st_mtime_ns) if stat else (-1, 0)
            stamps.append((str(path.resolve()), size, mtime))
        return stamps


def find_files(data_root: str | os.PathLike, split: str) -> SplitFiles:
    """Returns the files of a split.

    Args:
        data_root: Folder in VGGFace2's layout, or its URL.
        split: ``train`` or ``test``.

    Raises:
        FileNotFoundError: The root, the image folder or a CSV is missing; the message
            shows the layout.
    """
    if storage.is_remote(data_root):
        return _remote_files(data_root, split)
    root = Path(data_root)
    if not root.is_dir():
        raise FileNotFoundError(
            f'data_root {root} is not a folder. Pass the folder with the images '
            f'(--data-root DIR). {LAYOUT}')
    files = SplitFiles(root / split, root / 'bb_landmark' / f'loose_bb_{split}.csv',
                       root / 'bb_landmark' / f'loose_landmark_{split}.csv',
                       root / f'{split}_list.txt')
    if not files.images.is_dir():
        raise FileNotFoundError(f'Missing image folder {files.images}. {LAYOUT}')
    for path in (files.boxes, files.landmarks):
        if not path.is_file():
            raise FileNotFoundError(f'Missing CSV {path}. {LAYOUT}')
    return files


def _remote_files(data_root: str | os.PathLike, split: str) -> SplitFiles:
    """Returns the remote folder of the images, and local copies of the other files."""
    root = storage.as_path(data_root)
    boxes, landmarks = (
        storage.local(root / 'bb_landmark' / f'loose_{kind}_{split}.csv')
        for kind in ('bb', 'landmark'))
    listing = root / f'{split}_list.txt'
    return SplitFiles(root / split, boxes, landmarks, storage.local(listing)
                      if storage.exists(listing) else boxes.parent / listing.name)


def read_csv(path: Path, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Reads names and numbers from one of VGGFace2's CSVs.

    Args:
        path: The file.
        columns: The columns of numbers, in the order of the result.

    Returns:
        Names, (N,) bytes (UTF-8), and numbers, (N, len(columns)) float32, with NaN for
        cells that are empty or not a number.

    Raises:
        ValueError: The file is empty, lacks a column, or has a malformed line, which
            the message names.
    """
    if path.stat().st_size == 0:
        raise ValueError(f'{path} is empty, expected {",".join(["NAME_ID", *columns])} '
                         f'and a row per image. {LAYOUT}')
    blocks = read_lines(path)
    _, start = next(blocks)
    header = [cell.strip() for cell in cells_of(path, 1, start[:1], MOST_COLUMNS)[0]]
    places = _places(path, header, ['NAME_ID', *columns])
    names, numbers = [np.empty(0, 'S1')], [np.empty((0, len(columns)), np.float32)]
    for first, lines in itertools.chain([(2, start[1:])], blocks):
        block = (_plain_block(lines, len(header), places)
                 or _any_block(path, first, lines, len(header), places))
        names.append(block[0])
        numbers.append(block[1].reshape(-1, len(columns)))
    return np.concatenate(names), np.concatenate(numbers)


def _places(path: Path, header: list[str], expected: list[str]) -> list[int]:
    missing = [column for column in expected if header.count(column) != 1]
    if missing:
        raise ValueError(
            f'{path} lacks the column(s) {", ".join(missing)}, or has one twice: '
            f'expected {",".join(expected)}, separated by commas, found '
            f'{",".join(header)[:200]}. {LAYOUT}')
    return [header.index(column) for column in expected]


def _plain_block(lines: list[str], columns: int, places: list[int]
                 ) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads lines in which nothing is unusual, as in VGGFace2's own files.

    numpy is five times as fast as the csv module and ``float``, but accepts less.

    Returns:
        Names and numbers, or None if a line needs a closer look.
    """
    text = '\n'.join(lines)
    if (not text.isascii() or any(mark in text for mark in (' ', '\t', '""'))
            or {line.count(',') for line in lines} != {columns - 1}
            or max(map(len, lines)) > LONGEST_NAME):
        return None
    options = dict(delimiter=',', quotechar='"', comments=None)
    try:
        names = np.loadtxt(lines, f'S{LONGEST_NAME}', usecols=places[0], ndmin=1,
                           **options)
        numbers = np.loadtxt(lines, np.float32, usecols=places[1:], ndmin=2, **options)
    except ValueError:
        return None
    if not len(names) == len(numbers) == len(lines):
        return None
    return np.array(names.tolist(), 'S'), numbers


def _any_block(path: Path, first: int, lines: list[str], columns: int,
               places: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Reads any lines.

    Raises:
        ValueError: A line is malformed.
    """
    names, numbers = [], []
    for number, cells in enumerate(cells_of(path, first, lines, columns), first):
        if not cells:
            continue
        cells += [''] * (columns - len(cells))
        name, *values = [cells[place] for place in places]
        names.append(name.encode())
        _check_length(path, number, names[-1])
        numbers.append(_numbers(path, number, values))
    return np.array(names, 'S'), np.array(numbers, np.float32)


def _check_length(path: Path, number: int, name: bytes) -> None:
    """Checks a length that the index would reserve for every row."""
    if len(name) > LONGEST_NAME:
        raise malformed(path, number, (
            f'a name of {len(name):,} bytes, expected at most {LONGEST_NAME:,}'))


def _numbers(path: Path, number: int, cells: list[str]) -> list[float]:
    """Returns the numbers of a row, with NaN for cells that are not a number."""
    text = ''.join(cells)
    if ',' not in text and '_' not in text:  # Python ignores underscores in numbers
        try:
            return [float(cell) for cell in cells]
        except ValueError:
            pass
    check_decimal_comma(path, number, cells)
    values = []
    for cell in cells:
        try:
            values.append(float(cell.replace('_', 'x')))
        except ValueError:
            values.append(np.nan)
    return values


def read_listing(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a list of images, one path per line.

    Args:
        path: ``<split>_list.txt``.

    Returns:
        Names without suffix, (N,) bytes, and paths with suffix (default ``.jpg``), (N,)
        bytes.

    Raises:
        ValueError: The file is empty or not UTF-8.
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
        raise ValueError(f'{path} is empty, expected one image path per line, e.g. '
                         'n000002/0001_01.jpg. Without the file, the order of the CSV '
                         'is used.')
    return np.concatenate(names), np.concatenate(paths)


def _check_text(path: Path, lines: list[bytes], before: int) -> None:
    for number, line in enumerate(lines, before + 1):
        _check_length(path, number, line)
    try:
        b''.join(lines).decode()
    except UnicodeDecodeError as error:
        number = before + 1 + error.object[:error.start].count(b'\n')
        raise ValueError(
            f'{path}, line {number}: {lines[number - before - 1]!r} is not UTF-8. Save '
            'the list as UTF-8, or rename the image.') from error


def _without_suffix(line: bytes) -> bytes:
    if line.endswith(b'.jpg'):  # fast path, because splitext is slow
        return line[:-4]
    stem, suffix = os.path.splitext(line)
    return stem if suffix.lower() in SUFFIXES else line
