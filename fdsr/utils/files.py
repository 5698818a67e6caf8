"""Atomic writes: a file appears complete or not at all."""

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Iterator

PathLike = str | Path
_LONGEST = 50  # characters of the name that the temporary name keeps


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
    path.parent.mkdir(parents=True, exist_ok=True)
    # torch.save writes the name before the last dot into the file: let it not vary
    part = path.with_name(
        f'{path.name[:_LONGEST]}.part-{uuid.uuid4().hex[:8]}{suffix}')
    try:
        if folder:
            part.mkdir()
        else:
            part.touch(exist_ok=False)
        yield part
        if folder:
            if path.exists():
                shutil.rmtree(path)
            os.replace(part, path)
        elif part.exists():
            with part.open('rb+') as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    finally:
        if folder:
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink()


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
