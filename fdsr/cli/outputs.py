"""Writing results so that nothing half-finished is ever taken for one."""

import csv
import errno
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from fdsr.utils.files import atomic_path

RESULTS = 'results.csv'


class CannotWrite(OSError):
    """The results' folder takes nothing more: every further file would fail too."""


@dataclass(frozen=True)
class Result:
    """What became of a file: a row of ``results.csv``.

    Args:
        input: its path.
        output: the result's, empty if there is none.
        status: ``ok``, ``no face`` or ``failed``.
        faces: found in it; of a video, in all its frames.
        restored: of them.
        message: what was seen, or what went wrong.
        seconds: it took.
    """

    input: str
    output: str = ''
    status: str = 'ok'
    faces: int = 0
    restored: int = 0
    message: str = ''
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.status != 'ok'


class ResultsFile:
    """``results.csv``, a row as soon as a file is done, so that none is ever lost.

    Args:
        folder: of the results; made if it is not there.

    Raises:
        CannotWrite: it cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open('w', newline='', encoding='utf-8')
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._writer = csv.writer(self._file)
        self._row([field.name for field in fields(Result)])

    def add(self, result: Result) -> None:
        """Writes a row through to the file."""
        self._row([f'{value:.2f}' if isinstance(value, float) else value
                   for value in astuple(result)])

    def _row(self, values: Any) -> None:
        try:
            self._writer.writerow(values)
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    """The error with what can be done about it."""
    remedy = ('Make room there, or name another folder with --out.'
              if error.errno == errno.ENOSPC else 'Name another folder with --out.')
    return CannotWrite(
        f'{path} cannot be written ({error.strerror or error}). {remedy}')


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes a PNG, whole or not at all.

    Args:
        path: of the file.
        image: uint8 (H, W, 3) RGB.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    from PIL import Image
    content = BytesIO()
    Image.fromarray(image).save(content, 'png')
    with written_whole(path) as part:
        part.write_bytes(content.getvalue())


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file of the same suffix beside another one, whose place it takes at the end.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    try:
        with atomic_path(path, suffix=path.suffix) as part:
            yield part
    except CannotWrite:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The input, bicubically brought to the result's size, left of the result."""
    from PIL import Image
    size = (after.shape[1], after.shape[0])
    before = np.asarray(Image.fromarray(before).resize(size, Image.BICUBIC))
    return np.concatenate([before, after], axis=1)
