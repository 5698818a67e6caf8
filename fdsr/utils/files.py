"""Atomic writes: a file appears complete or not at all."""

import contextlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any, Iterator

from fdsr.utils.locks import LOCKS, is_at, lock_descriptor

PathLike = str | Path
_LONGEST = 50  # characters of the name that the temporary name keeps
#: Temporary names are NAME.part-fdsr-0123abcd. Other programs' files do not match.
_MARK = '.part-fdsr-'
_LEFTOVER = re.compile(re.escape(_MARK) + '[0-9a-f]{8}')
_NO_LINKS = getattr(os, 'O_NOFOLLOW', 0)
#: Folders from which this process has removed leftovers.
_CLEANED: set[Path] = set()


@contextlib.contextmanager
def atomic_path(path: PathLike, folder: bool = False, suffix: str = ''
                ) -> Iterator[Path]:
    """Yields a temporary file that replaces ``path`` when the block ends.

    Readers of ``path`` see either the old content or the complete new one. If the block
    fails, the temporary file is removed. If the block itself removes the temporary
    file, ``path`` is left unchanged.

    Args:
        path: the file to write; its folder is created.
        folder: yield a folder instead; an existing one is replaced.
        suffix: suffix of the temporary path, for writers that depend on it.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    # torch.save writes the name before the last dot into the file: let it not vary
    with temporary_path(path.parent, path.name, suffix, folder) as part:
        yield part
        if folder:
            if path.exists():
                shutil.rmtree(path)
            os.replace(part, path)
        elif part.exists():
            with part.open('rb+') as file:
                os.fsync(file.fileno())
            os.replace(part, path)


@contextlib.contextmanager
def temporary_path(parent: PathLike, name: str, suffix: str = '',
                   folder: bool = False, mode: int = 0o777) -> Iterator[Path]:
    """Yields a new, empty file or folder, which is removed when the block ends.

    It is locked until then. If the process is killed, the next process that makes a
    temporary path in the same folder removes it.

    Args:
        parent: where to create it; created if missing.
        name: start of its name.
        suffix: end of its name.
        folder: create a folder in place of a file.
        mode: permissions of the folder, without the bits of the umask.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    if (cleaned := parent.resolve()) not in _CLEANED:
        _CLEANED.add(cleaned)
        remove_leftovers(parent)
    part, descriptor = _create(parent, name, suffix, folder, mode)
    try:
        yield part
    finally:
        _remove(part)
        if descriptor is not None:
            os.close(descriptor)


def _create(parent: Path, name: str, suffix: str, folder: bool, mode: int
            ) -> tuple[Path, int | None]:
    """Returns a new path and the descriptor that locks it."""
    while True:
        part = parent / f'{name[:_LONGEST]}{_MARK}{uuid.uuid4().hex[:8]}{suffix}'
        if folder:
            part.mkdir(mode)
        else:
            part.touch(exist_ok=False)
        if not LOCKS:
            return part, None
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(part, os.O_RDONLY if folder else os.O_RDWR)
            lock_descriptor(descriptor, wait=True)
            if is_at(descriptor, part):
                return part, descriptor
            os.close(descriptor)
        # another process removed it as a leftover before it was locked


def remove_leftovers(parent: PathLike) -> None:
    """Removes the temporary files and folders of killed processes from a folder.

    Those of running processes are locked and stay.
    """
    with contextlib.suppress(OSError):
        for path in list(Path(parent).iterdir()):
            if _LEFTOVER.search(path.name):
                with contextlib.suppress(OSError):
                    descriptor = os.open(path, os.O_RDONLY | _NO_LINKS)
                    try:
                        if lock_descriptor(descriptor) and is_at(descriptor, path):
                            _remove(path)
                    finally:
                        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_bytes(path: PathLike, content: bytes) -> None:
    """Writes a file atomically.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(path) as part:
        part.write_bytes(content)


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file atomically.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    with explained(path):
        write_bytes(path, text.encode())


def write_json(path: PathLike, content: dict[str, Any]) -> None:
    """Writes a JSON file atomically.

    Args:
        path: the file to write; its folder is created.
        content: plain, finite values.

    Raises:
        OSError: the file cannot be written; the message names it.
        TypeError, ValueError: a value cannot be represented in JSON.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + '\n')


@contextlib.contextmanager
def explained(path: PathLike) -> Iterator[None]:
    """Adds the path and a remedy to an OSError raised while writing a file."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f'{error.strerror}: cannot write {path}; choose a folder that '
            'can be written') from error
