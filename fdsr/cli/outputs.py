"""Writes results and ``results.csv``; no file is left incomplete."""

import csv
import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.apis.images import srgb_tag
from fdsr.utils.files import atomic_path, remove_leftovers
from fdsr.utils.locks import FolderInUse, folder_lock

RESULTS = 'results.csv'


class CannotWrite(OSError):
    """Raised if the folder of the results cannot be written; ends the run."""


@dataclass(frozen=True)
class Result:
    """The outcome of an input, a row of ``results.csv``.

    Args:
        input: path of the input.
        output: path of the result; empty if there is none.
        status: ``ok``, ``no face``, ``failed``, or ``skipped`` for what is not an image
            in a folder.
        faces: number of faces found; for a video, in all frames together.
        restored: number of faces restored.
        message: details, or the error.
        seconds: time taken.
        kind: ``face`` or ``photo``, how the input was restored; empty if it was not
            read.
    """

    input: str
    output: str = ''
    status: str = 'ok'
    faces: int = 0
    restored: int = 0
    message: str = ''
    seconds: float = 0.0
    kind: str = ''

    @property
    def failed(self) -> bool:
        """True if the input should have a result and has none."""
        return self.status not in ('ok', 'skipped')


class ResultsFile:
    """``results.csv``, which receives each row as soon as its input is done.

    The folder is locked until the file is closed, and temporary files that a killed
    run left in it are removed.

    Args:
        folder: folder of the results; created if missing.

    Raises:
        FolderInUse: another run is writing to the folder.
        CannotWrite: the folder or the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        with ExitStack() as stack:
            try:
                stack.enter_context(folder_lock(folder))
                remove_leftovers(folder)
                self._file = stack.enter_context(
                    self.path.open('w', newline='', encoding='utf-8'))
            except FolderInUse:
                raise
            except OSError as error:
                raise cannot_write(self.path, error) from error
            self._writer = csv.writer(self._file)
            self._row([field.name for field in fields(Result)])
            self._open = stack.pop_all()

    def __enter__(self) -> 'ResultsFile':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, result: Result) -> None:
        """Writes a row and flushes the file."""
        self._row([f'{value:.2f}' if isinstance(value, float) else value
                   for value in astuple(result)])

    def _row(self, values: Any) -> None:
        try:
            self._writer.writerow(values)
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Closes the file and releases the folder."""
        self._open.close()


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    """Returns an error that names the file and says how to fix it."""
    fix = ('Free space, or name another folder with --out.'
           if error.errno == errno.ENOSPC else 'Name another folder with --out.')
    return CannotWrite(f'{path} cannot be written ({error.strerror or error}). {fix}')


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes uint8 (H, W, 3) sRGB as a PNG that says so, atomically.

    Raises:
        CannotWrite: the file cannot be written.
    """
    from PIL import Image
    with written_whole(path) as part:
        Image.fromarray(image).save(part, 'png', pnginfo=srgb_tag())


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary file with the same suffix that replaces ``path`` at the end.

    Raises:
        CannotWrite: the file cannot be written.
    """
    try:
        with atomic_path(path, suffix=path.suffix) as part:
            yield part
    except CannotWrite:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns the input, resized to the result's size, left of the result."""
    from PIL import Image
    size = (after.shape[1], after.shape[0])
    before = np.asarray(Image.fromarray(before).resize(size, Image.BICUBIC))
    return np.concatenate([before, after], axis=1)
