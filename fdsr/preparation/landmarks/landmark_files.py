"""Append-only CSVs that survive an interruption at any time."""

import contextlib
import csv
import errno
import io
import itertools
import json
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fdsr.datasets.vggface2_files import BOX_COLUMNS, LANDMARK_COLUMNS
from fdsr.utils.csv_rows import malformed
from fdsr.utils.files import write_bytes

SKIPPED_COLUMNS = ('PICTURE', 'REASON', 'DETAIL')


class CannotWriteLandmarks(OSError):
    """Raised if the disk is full or a file cannot be written."""


class GrowingCsv:
    """CSV to which complete rows are appended without buffering.

    An incomplete last line is removed when the file is opened. A lock keeps other
    processes out.

    Args:
        path: path of the file, which is created if it is missing.
        columns: names of the columns, the first line.

    Attributes:
        names: the first cell of each row.

    Raises:
        CannotWriteLandmarks: the file cannot be written, or another process has it
            open.
        ValueError: the file has other columns, or a malformed row.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.names: list[str] = []
        self._ends = array('q')
        self._held = FileLock(path.with_name(f'.{path.name}.lock'), timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            self._lock()
            self._read()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.names)

    def _lock(self) -> None:
        try:
            self._held.acquire()
        except Timeout as error:
            raise CannotWriteLandmarks(
                f'{self.path} is being written by another run. Wait for it, or pass '
                'another file.') from error
        except OSError:  # the file system does not support locks
            pass

    def _read(self) -> None:
        """Reads the rows, removes an incomplete one, and writes a missing header."""
        end = 0
        header = _line(self.columns)
        with open(self.path, 'rb') as file:
            for number, line in enumerate(file, 1):
                whole = line.endswith(b'\n')
                if number == 1 and line.rstrip(b'\r\n') != header.rstrip() and (
                        whole or not header.startswith(line)):
                    raise ValueError(
                        f'{self.path} starts with {line[:80]!r}, expected the columns '
                        f'{",".join(self.columns)}. Pass another file.')
                if not whole:
                    break
                end += len(line)
                if number > 1:
                    self.names.append(self._name(line, number))
                self._ends.append(end)
        os.ftruncate(self._file, end)
        if not end:
            self._write(header)

    def _name(self, line: bytes, number: int) -> str:
        text = line.decode('utf-8', 'replace')
        try:
            cells = next(csv.reader([text], strict=True), [])
        except csv.Error as error:
            raise malformed(self.path, number, f'{error}: {text[:80]!r}') from error
        if len(cells) != len(self.columns):
            raise ValueError(
                f'{self.path}, line {number}: expected {len(self.columns)} cells, '
                f'found {len(cells)}. Fix the line, or move the file to start again.')
        return cells[0]

    def add(self, cells: Sequence[str]) -> None:
        """Appends a row; the first cell is quoted.

        Raises:
            CannotWriteLandmarks: the disk is full; the row is removed.
        """
        self._write(_line(cells, quoted=True))
        self.names.append(cells[0])

    def _write(self, line: bytes) -> None:
        before = self._ends[-1] if self._ends else 0
        try:
            # a single call, so that Ctrl-C cannot interrupt it
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._file, before)
            raise cannot_write(self.path, error) from error
        self._ends.append(before + len(line))

    def keep(self, count: int) -> None:
        """Removes all rows except the first ones."""
        if count < len(self.names):
            del self.names[count:]
            del self._ends[count + 1:]
            os.ftruncate(self._file, self._ends[-1])

    def close(self) -> None:
        """Closes the file and releases the lock."""
        os.close(self._file)
        self._held.release()


class LandmarkFiles:
    """CSVs of landmarks, boxes and skipped images, and the settings.

    The box of a face is written before its landmarks. Rows without a counterpart are
    removed when the files are opened.

    Args:
        landmarks: VGGFace2's CSV of landmarks.
        boxes: VGGFace2's CSV of boxes.
        skipped: CSV of skipped images.
        settings: plain JSON that the rows depend on. It is stored beside the landmarks
            and must not change between runs.

    Raises:
        CannotWriteLandmarks: a file cannot be written, or another run has it open.
        ValueError: the files do not match, or have other settings.
    """

    def __init__(self, landmarks: Path, boxes: Path, skipped: Path,
                 settings: dict[str, Any]) -> None:
        paths = (landmarks, boxes, skipped)
        if len({path.absolute() for path in paths}) < len(paths):
            raise ValueError(
                f'{", ".join(map(str, paths))} must be three different files.')
        columns = (('NAME_ID', *LANDMARK_COLUMNS), ('NAME_ID', *BOX_COLUMNS),
                   SKIPPED_COLUMNS)
        kept = landmarks.with_suffix('.settings.json')
        # before opening, which modifies the files: files without settings are foreign
        known = self._check_settings(kept, settings, dict(zip(paths, columns)))
        with contextlib.ExitStack() as stack:
            self.landmarks, self.boxes, self.skipped = (
                stack.enter_context(contextlib.closing(GrowingCsv(*file)))
                for file in zip(paths, columns))
            self._match()
            if not known:
                write_text(kept, json.dumps(settings, indent=1) + '\n')
            self._files = stack.pop_all()
        self.with_face: set[str] = set(self.landmarks.names)
        self.without: set[str] = set(self.skipped.names)

    def _match(self) -> None:
        """Removes faces that are not in both CSVs."""
        pairs = list(zip(self.landmarks.names, self.boxes.names))
        different = [pair for pair in pairs if pair[0] != pair[1]]
        if different:
            raise ValueError(
                f'{self.landmarks.path} and {self.boxes.path} do not match: one has '
                f'{different[0][0]} where the other has {different[0][1]}. Move both '
                'files to start again.')
        self.landmarks.keep(len(pairs))
        self.boxes.keep(len(pairs))

    @staticmethod
    def _check_settings(path: Path, settings: dict[str, Any],
                        files: dict[Path, Sequence[str]]) -> bool:
        """Returns True if the same settings are stored, False if none are."""
        settings = json.loads(json.dumps(settings))
        found = None
        try:
            if path.exists():
                found = json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is not JSON ({error}). Move it and the CSVs to '
                             'start again.') from error
        for file, columns in files.items():
            # a run that was interrupted at its start leaves at most a header
            if found is None and file.is_file() and (
                    file.stat().st_size > len(_line(columns))):
                raise ValueError(
                    f'{file} has rows, but {path.name} with their settings is missing. '
                    'Pass another file.')
        if found is not None and found != settings:
            raise ValueError(
                f'{next(iter(files))} was started with {json.dumps(found)}, found '
                f'{json.dumps(settings)} now. Use the same settings, or move the CSVs '
                f'and {path.name} to start again.')
        return found is not None

    def add(self, name: str, points: np.ndarray, box: Sequence[float]) -> None:
        """Adds a face.

        Args:
            name: NAME_ID, the path of the image without suffix.
            points: (5, 2) in pixels.
            box: x, y, w, h in pixels, rounded to whole pixels.
        """
        left, top = round(box[0]), round(box[1])
        right, bottom = round(box[0] + box[2]), round(box[1] + box[3])
        self.boxes.add([name, *map(str, (
            left, top, max(1, right - left), max(1, bottom - top)))])
        self.landmarks.add([name, *(f'{value:.2f}' for value in np.ravel(points))])
        self.with_face.add(name)

    def skip(self, image: str, reason: str, detail: str) -> None:
        """Adds a skipped image and the reason."""
        self.skipped.add([image, reason, ' '.join(detail.split())])
        self.without.add(image)

    def skipped_reasons(self) -> Iterator[tuple[str, str]]:
        """Yields (image, reason) of the skipped images in the file."""
        with self.skipped.path.open(encoding='utf-8', newline='') as file:
            for image, reason, _ in itertools.islice(csv.reader(file), 1, None):
                yield image, reason

    def close(self) -> None:
        """Closes all files."""
        self._files.close()

    def __enter__(self) -> 'LandmarkFiles':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; its folder is created.

    Raises:
        CannotWriteLandmarks: the disk is full, or the folder is not writable.
    """
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CannotWriteLandmarks:
    """Returns an error with a remedy."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = ('Free disk space and run the same command again to resume.'
              if full else 'Pass another file.')
    return CannotWriteLandmarks(
        f'{path} cannot be written ({error.strerror or error}). {remedy}')


def _line(cells: Sequence[str], quoted: bool = False) -> bytes:
    """Encodes a row; the first cell is always quoted, the others if necessary."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerow(cells[1:] if quoted else cells)
    first = '"' + cells[0].replace('"', '""') + '",' if quoted else ''
    return (first + text.getvalue()).encode('utf-8', 'backslashreplace')
