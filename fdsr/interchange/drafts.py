"""Writes results that consist of several files, all of them or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdsr.utils.files import temporary_path


class CannotWrite(OSError):
    """Raised if the folder of a result cannot be written."""


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder inside another, from which finished files are moved.

    Args:
        folder: created if missing.

    Raises:
        CannotWrite: the folder cannot be written, or the disk is full.
    """
    try:
        with temporary_path(folder, '.draft', folder=True) as draft:
            yield draft
    except OSError as error:
        raise CannotWrite(f'{folder} cannot be written ({error}). Free space, or name '
                          'another output.') from error


def check_out_file(out: Path) -> None:
    """Raises ``IsADirectoryError`` if the output file is a folder."""
    if out.is_dir():
        raise IsADirectoryError(f'OUT has to be a file, found the folder {out}.')
