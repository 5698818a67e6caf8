"""Files that are there whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, TextIO, Union


def write_json(path: Union[str, Path], content: Dict[str, Any]) -> None:
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


def write_text(path: Union[str, Path], text: str) -> None:
    """Writes a text file, whole or not.

    Raises:
        OSError: the folder cannot be written.
    """
    write_whole(path, lambda file: file.write(text))


def write_whole(path: Union[str, Path], write: Callable[[TextIO], Any]) -> None:
    """Writes beside the target, then renames: readers see all of it or nothing."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f'{error.strerror}: cannot write {path}; choose a folder that '
            'can be written') from error
    try:
        with os.fdopen(handle, 'w', encoding='utf-8', newline='') as file:
            write(file)
        # mkstemp makes private files; results are to be read as any other file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
