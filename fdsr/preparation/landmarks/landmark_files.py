"""Tables that only ever grow, and that a run cut off at any moment can go on with."""

import csv
import errno
import io
import itertools
import json
import os
from array import array
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Set, Tuple

import numpy as np
from filelock import FileLock, Timeout

from fdsr.datasets.vggface2_files import BOX_COLUMNS, LANDMARK_COLUMNS
from fdsr.utils.files import write_bytes

SKIPPED_COLUMNS = ('PICTURE', 'REASON', 'DETAIL')


class CannotWriteLandmarks(OSError):
    """The disk takes nothing more, or the file cannot be written."""


class GrowingCsv:
    """A CSV to which whole rows are added, each straight to the file.

    A last line that was cut off is taken away when the file is opened. While it is
    open, no other process can open it so.

    Args:
        path: of the file; made, with its folder, if it is not there.
        columns: its first line.

    Attributes:
        names: the first cell of each row.

    Raises:
        CannotWriteLandmarks: it cannot be written, or another process is at it.
        ValueError: it has other columns, or a row that is none.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.names: List[str] = []
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
                f'{self.path} is being written by another run. Wait for it, or name '
                'another file.') from error
        except OSError:  # a file system without locks
            pass

    def _read(self) -> None:
        """Finds the rows, cuts off an unfinished one, and starts an empty file."""
        end = 0
        header = _line(self.columns)
        with open(self.path, 'rb') as file:
            for number, line in enumerate(file, 1):
                whole = line.endswith(b'\n')
                if number == 1 and line.rstrip(b'\r\n') != header.rstrip() and (
                        whole or not header.startswith(line)):
                    raise ValueError(
                        f'{self.path} begins with {line[:80]!r}, expected the columns '
                        f'{",".join(self.columns)}. Name another file.')
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
        cells = next(csv.reader([line.decode('utf-8', 'replace')]), [])
        if len(cells) != len(self.columns):
            raise ValueError(
                f'{self.path}, line {number}: expected {len(self.columns)} cells, '
                f'found {len(cells)}. Fix the line, or move the file away to start '
                'anew.')
        return cells[0]

    def add(self, cells: Sequence[str]) -> None:
        """Adds a row; the first cell is written in quotes.

        Raises:
            CannotWriteLandmarks: the disk is full; nothing of the row stays.
        """
        self._write(_line(cells, quoted=True))
        self.names.append(cells[0])

    def _write(self, line: bytes) -> None:
        before = self._ends[-1] if self._ends else 0
        try:
            # one call for the whole row: Ctrl-C comes before it or after it
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._file, before)
            raise cannot_write(self.path, error) from error
        self._ends.append(before + len(line))

    def keep(self, count: int) -> None:
        """Takes away all rows but the first ones."""
        if count < len(self.names):
            del self.names[count:]
            del self._ends[count + 1:]
            os.ftruncate(self._file, self._ends[-1])

    def close(self) -> None:
        """Closes the file, and lets others in."""
        os.close(self._file)
        self._held.release()


class LandmarkFiles:
    """The CSVs of landmarks and boxes, of what was skipped, and the settings.

    A face's row in the boxes' CSV is written first, so that a row of landmarks is
    never without one; rows that are in one of them only are taken away at the start.

    Args:
        landmarks: VGGFace2's CSV of five points.
        boxes: its CSV of boxes.
        skipped: a row for each image left out.
        settings: what the rows depend on, as JSON can hold it. It is kept beside the
            landmarks, and a later run has to have the same.

    Raises:
        CannotWriteLandmarks: one cannot be written, or another run is at it.
        ValueError: they do not belong together, or were begun with other settings.
    """

    def __init__(self, landmarks: Path, boxes: Path, skipped: Path,
                 settings: Dict[str, Any]) -> None:
        paths = (landmarks, boxes, skipped)
        if len({path.absolute() for path in paths}) < len(paths):
            raise ValueError(
                f'{", ".join(map(str, paths))} have to be three different files.')
        self._open: List[GrowingCsv] = []
        columns = (('NAME_ID', *LANDMARK_COLUMNS), ('NAME_ID', *BOX_COLUMNS),
                   SKIPPED_COLUMNS)
        kept = landmarks.with_suffix('.settings.json')
        # before anything is opened, which cuts off what is unfinished: files without
        # settings are somebody else's
        known = self._check_settings(kept, settings, dict(zip(paths, columns)))
        try:
            self.landmarks, self.boxes, self.skipped = (
                self._opened(*file) for file in zip(paths, columns))
            self._match()
            if not known:
                write_whole(kept, json.dumps(settings, indent=1) + '\n')
        except BaseException:
            self.close()
            raise
        self.with_face: Set[str] = set(self.landmarks.names)
        self.without: Set[str] = set(self.skipped.names)

    def _opened(self, path: Path, columns: Tuple[str, ...]) -> GrowingCsv:
        self._open.append(GrowingCsv(path, columns))
        return self._open[-1]

    def _match(self) -> None:
        """Keeps the faces that stand in both CSVs."""
        pairs = list(zip(self.landmarks.names, self.boxes.names))
        different = [pair for pair in pairs if pair[0] != pair[1]]
        if different:
            raise ValueError(
                f'{self.landmarks.path} and {self.boxes.path} do not belong together: '
                f'where one has {different[0][0]}, the other has {different[0][1]}. '
                'Move both away to start anew.')
        self.landmarks.keep(len(pairs))
        self.boxes.keep(len(pairs))

    @staticmethod
    def _check_settings(path: Path, settings: Dict[str, Any],
                        files: Dict[Path, Sequence[str]]) -> bool:
        """Whether the settings are kept already, and are the same.

        Raises:
            ValueError: they are others, or there are none although a file has rows.
        """
        settings = json.loads(json.dumps(settings))
        found = None
        try:
            if path.exists():
                found = json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is no JSON ({error}). Move it and the CSVs away '
                             'to start anew.') from error
        for file, columns in files.items():
            # a run that was cut off at its very beginning leaves a first line at most
            if found is None and file.is_file() and (
                    file.stat().st_size > len(_line(columns))):
                raise ValueError(
                    f'{file} has rows, but {path.name}, which would tell how they were '
                    'made, is not there. Name another file.')
        if found is not None and found != settings:
            raise ValueError(
                f'{next(iter(files))} was begun with {json.dumps(found)}, now it is '
                f'{json.dumps(settings)}. Take the same, or move the CSVs and '
                f'{path.name} away to start anew.')
        return found is not None

    def add(self, name: str, points: np.ndarray, box: Sequence[float]) -> None:
        """Adds a face.

        Args:
            name: NAME_ID, the image's path without its suffix.
            points: (5, 2) in pixels.
            box: x, y, w, h in pixels; written as whole pixels.
        """
        left, top = round(box[0]), round(box[1])
        right, bottom = round(box[0] + box[2]), round(box[1] + box[3])
        self.boxes.add([name, *map(str, (
            left, top, max(1, right - left), max(1, bottom - top)))])
        self.landmarks.add([name, *(f'{value:.2f}' for value in np.ravel(points))])
        self.with_face.add(name)

    def skip(self, image: str, reason: str, detail: str) -> None:
        """Adds an image that was left out, and why."""
        self.skipped.add([image, reason, ' '.join(detail.split())])
        self.without.add(image)

    def skipped_reasons(self) -> Iterator[Tuple[str, str]]:
        """The images left out and why, as the file has them."""
        with self.skipped.path.open(encoding='utf-8', newline='') as file:
            for image, reason, _ in itertools.islice(csv.reader(file), 1, None):
                yield image, reason

    def close(self) -> None:
        """Closes all files."""
        while self._open:
            self._open.pop().close()

    def __enter__(self) -> 'LandmarkFiles':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_whole(path: Path, text: str) -> None:
    """Writes a text beside its place and puts it there when it is whole.

    Its folder is made.

    Raises:
        CannotWriteLandmarks: the disk is full, or the folder cannot be written.
    """
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CannotWriteLandmarks:
    """The error with what can be done about it."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = ('Make room and run the same command again: it goes on where it stopped.'
              if full else 'Name another file.')
    return CannotWriteLandmarks(
        f'{path} cannot be written ({error.strerror or error}). {remedy}')


def _line(cells: Sequence[str], quoted: bool = False) -> bytes:
    """A row; its first cell in quotes, the others where they need them."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerow(cells[1:] if quoted else cells)
    first = '"' + cells[0].replace('"', '""') + '",' if quoted else ''
    return (first + text.getvalue()).encode('utf-8', 'backslashreplace')
