"""Files that appear whole or not at all."""

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, Union

PathLike = Union[str, Path]
_LONGEST = 50  # letters of a name, so that the name of its part is not too long


@contextlib.contextmanager
def atomic_path(path: PathLike, folder: bool = False, suffix: str = ''
                ) -> Iterator[Path]:
    """Yields an empty file beside another one, whose place it takes at the end.

    Readers of the other see the old content or all of the new one. If the block fails,
    what it wrote is removed; if it removes the file itself, the other one stays.

    Args:
        path: of the file; its folder is made.
        folder: yield a folder instead; one that is there is replaced.
        suffix: of the yielded path, for writers that go by it.

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
            _sync(part)
            os.replace(part, path)
    finally:
        if folder:
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink()


def _sync(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    with path.open('rb+') as file:
        os.fsync(file.fileno())


def write_bytes(path: PathLike, content: bytes) -> None:
    """Writes a file, whole or not.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_path(path) as part:
        part.write_bytes(content)


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file, whole or not.

    Raises:
        OSError: the folder cannot be written.
    """
    with explained(path):
        write_bytes(path, text.encode())


def write_json(path: PathLike, content: Dict[str, Any]) -> None:
    """Writes a JSON file, whole or not.

    Args:
        path: the file; its folder is made.
        content: of plain, finite values.

    Raises:
        OSError: the folder cannot be written.
        TypeError, ValueError: it holds what JSON cannot.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + '\n')


@contextlib.contextmanager
def explained(path: PathLike) -> Iterator[None]:
    """Names the file, and what can be done, where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f'{error.strerror}: cannot write {path}; choose a folder that '
            'can be written') from error
