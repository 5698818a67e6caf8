"""Locks between processes. They end with the process, however it ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCK = '.lock'
#: Whether the system can lock open files.
LOCKS = fcntl is not None


class FolderInUse(OSError):
    """Raised for a folder that another run is writing to."""


@contextlib.contextmanager
def folder_lock(folder: str | Path, wait: float = 0) -> Iterator[None]:
    """Locks a folder into which one run at a time may write.

    The lock is the file ``.lock`` in the folder, which is removed at the end. A file
    that a killed run left is not locked. On a file system without locks, this does
    nothing.

    Args:
        folder: created if missing.
        wait: seconds to wait for another run.

    Raises:
        FolderInUse: another run, or another lock of this process, has the lock.
        OSError: the folder cannot be created.
    """
    from filelock import FileLock, Timeout
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise FolderInUse(f'{folder} is in use by another run. Wait until it has '
                          'ended, or name another folder.') from error
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            # while it is held, so that the file of another run is not removed
            with contextlib.suppress(OSError):
                (folder / _LOCK).unlink()
            lock.release()


def lock_descriptor(descriptor: int, wait: bool = False) -> bool:
    """Locks an open file or folder until the descriptor is closed.

    Args:
        descriptor: its file descriptor.
        wait: wait for a process that has the lock.

    Returns:
        False if another process has the lock, or the file system has no locks.
    """
    if not LOCKS:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Returns True if a path still names the open file or folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
