"""Local and remote files: paths, downloads with retries, a bounded local cache.

A path with ``://`` is an fsspec URL (``s3://``, ``gs://``, ``https://``, ``memory://``).
Its options, for example the endpoint of S3, come from fsspec's own settings: files in
``~/.config/fsspec`` and variables such as ``FSSPEC_S3``. Local paths need no package.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock

from fdsr.utils.files import atomic_path

Result = TypeVar('Result')
#: Folder of the local copies, and their maximum size in GB (environment).
CACHE, CACHE_GB = 'FDSR_REMOTE_CACHE', 'FDSR_REMOTE_CACHE_GB'
_DEFAULT_GB = 50
#: Attempts, and seconds before the second one, which double with each up to a limit.
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 6, 0.5, 30
#: Seconds until a silent connection counts as lost.
SILENCE = 60
#: Errors of the local disk, which another attempt does not fix.
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MISSING = {'s3': 's3fs', 's3a': 's3fs', 'gs': 'gcsfs', 'gcs': 'gcsfs',
            'http': 'aiohttp', 'https': 'aiohttp'}


class StorageError(RuntimeError):
    """Raised if a remote file cannot be read or written; the message names it.

    It is not an ``OSError``, so that datasets stop instead of skipping the sample.
    """


def is_remote(path: Any) -> bool:
    """Returns True for an fsspec URL, also as a ``UPath``."""
    return '://' in str(path)


def as_path(path: Any) -> Any:
    """Returns a ``Path``, or a ``UPath`` for a URL.

    Raises:
        ImportError: a package is missing.
    """
    if not is_remote(path):
        return Path(path)
    with _packages(str(path)):
        from upath import UPath
        return path if isinstance(path, UPath) else UPath(str(path), **_options(path))


def read_bytes(path: Any, most: int | None = None) -> bytes:
    """Returns the content of a remote file, or its first ``most`` bytes.

    Raises:
        StorageError: it cannot be read, after several attempts.
    """
    system, inside = _system(path)
    return _retried(path, lambda: system.cat_file(inside, end=most), 'read')


def files_below(path: Any) -> list[str]:
    """Returns the files below a remote folder, relative and sorted; hidden ones not.

    Raises:
        StorageError: it cannot be listed.
    """
    system, inside = _system(path)
    found = _retried(path, lambda: system.find(inside), 'listed')
    start = inside.rstrip('/') + '/'
    relative = (name.removeprefix(start) for name in found)
    return sorted(name for name in relative
                  if not any(part.startswith('.') for part in name.split('/')))


def exists(path: Any) -> bool:
    """Returns True if a local or remote file exists.

    Raises:
        StorageError: the storage does not answer, or permits no access.
    """
    if not is_remote(path):
        return Path(path).is_file()
    system, inside = _system(path)

    def ask() -> bool:
        try:
            system.info(inside)
        except FileNotFoundError:
            return False
        return True
    return _retried(path, ask, 'read')


def stamp(path: Any) -> tuple[int, int] | None:
    """Returns size and time of a local or remote file, which change with it.

    Returns:
        None if it is missing. Object stores have a tag in place of a time.
    """
    if not is_remote(path):
        path = Path(path)
        status = path.stat() if path.exists() else None
        return status and (status.st_size, status.st_mtime_ns)
    if not exists(path):
        return None
    system, inside = _system(path)
    info = _retried(path, lambda: system.info(inside), 'read')
    tag = info.get('ETag') or info.get('LastModified') or info.get('mtime') or ''
    return info['size'], int(hashlib.sha256(str(tag).encode()).hexdigest()[:15], 16)


def local(path: Any) -> Path:
    """Returns a local file with the content, which is downloaded if it is remote.

    Archives stay in the cache until newer ones need the space: ``FDSR_REMOTE_CACHE``
    (default: ``~/.cache/fdsr/remote``) keeps at most ``FDSR_REMOTE_CACHE_GB`` (50). A
    file that is open stays readable when it is removed. Several processes share the
    cache and download a file once. Changed remote files need another name.

    Raises:
        StorageError: it cannot be downloaded.
    """
    if not is_remote(path):
        return Path(path)
    folder = Path(os.environ.get(CACHE) or Path.home() / '.cache' / 'fdsr' / 'remote')
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:24]
    copy = folder / digest / str(path).rpartition('/')[2]
    with contextlib.suppress(OSError):
        # the time of the last use; the other one belongs to the content
        os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))
        return copy
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f'{digest}.lock'):
        if not copy.exists():
            _download(path, copy)
            _evict(folder, copy)
    return copy


def opened(path: Any) -> BinaryIO:
    """Opens a local file with the content for unbuffered reading.

    Raises:
        OSError: a local file cannot be opened.
        StorageError: a remote file cannot be downloaded.
    """
    while True:
        try:
            return open(local(path), 'rb', buffering=0)
        except FileNotFoundError:  # another process has just removed the copy
            if not is_remote(path):
                raise


def upload(source: Path, target: Any) -> None:
    """Writes a local file to a URL.

    Raises:
        StorageError: it cannot be written, after several attempts.
    """
    system, inside = _system(target)
    _retried(target, lambda: system.put_file(str(source), inside), 'written')


def upload_folder(folder: Path, target: str, last: str,
                  report: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Writes the missing files of a folder to a URL, and those named ``last`` last.

    Args:
        folder: local folder; hidden files are left out.
        target: URL of the folder to write.
        last: name of the files that make the others valid.
        report: called with the number of finished files and their total.

    Returns:
        The number of files that were missing, or had another size.

    Raises:
        StorageError: a file cannot be written.
    """
    system, inside = _system(target)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob('*'))
             if path.is_file()]
    names = [name for name in names
             if not any(part.startswith('.') for part in name.split('/'))]
    found = _retried(target, lambda: system.find(inside, detail=True), 'listed')
    sizes = {name.removeprefix(inside.rstrip('/') + '/'): info['size']
             for name, info in found.items()}
    names.sort(key=lambda name: name.rpartition('/')[2] == last)
    written = 0
    for done, name in enumerate(names, 1):
        final = name.rpartition('/')[2] == last
        if final or sizes.get(name) != (folder / name).stat().st_size:
            upload(folder / name, f'{target.rstrip("/")}/{name}')
            written += 1
        report(done, len(names))
    return written


def _download(path: Any, copy: Path) -> None:
    system, inside = _system(path)

    def once() -> None:
        with atomic_path(copy) as part:
            system.get_file(inside, str(part))
            expected = system.info(inside).get('size')
            if expected is not None and part.stat().st_size != expected:
                raise ConnectionError(
                    f'{part.stat().st_size} of {expected} bytes arrived')
    _retried(path, once, 'read')
    # the same for each download of this content, because indices depend on it
    seconds = stamp(path)[1] % 2**31
    os.utime(copy, ns=(time.time_ns(), seconds * 10**9))


def _evict(folder: Path, newest: Path) -> None:
    """Removes the archives that were not used for the longest time.

    The indices stay: they have less than a hundredth of the size of the images.
    """
    most = float(os.environ.get(CACHE_GB) or _DEFAULT_GB) * 1e9
    copies = []
    for path in folder.glob('*/*.tar'):
        with contextlib.suppress(OSError):
            status = path.stat()
            copies.append((status.st_atime_ns, status.st_size, path))
    total = sum(size for _, size, _ in copies)
    for _, size, path in sorted(copies):
        if total <= most:
            return
        if path != newest:
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size


def _options(path: Any) -> dict[str, Any]:
    """Returns options with which a silent connection ends."""
    if str(path).startswith(('s3:', 's3a:')):
        # fdsr repeats requests, for all kinds of storage
        return dict(config_kwargs=dict(
            connect_timeout=SILENCE, read_timeout=SILENCE,
            retries=dict(max_attempts=1)))
    return {}


def _system(path: Any) -> tuple[Any, str]:
    """Returns the file system of a URL and the path inside of it."""
    with _packages(str(path)):
        import fsspec
        # without the cache of listings, in which new files would be missing
        return fsspec.core.url_to_fs(str(path), use_listings_cache=False,
                                     **_options(path))


@contextlib.contextmanager
def _packages(path: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        more = _MISSING.get(path.partition('://')[0])
        raise ImportError(
            f'{path}: {error}. Remote files need pip install "fdsr[remote]"'
            + (f', and {more} for this protocol.' if more else '.')) from error
    except ValueError as error:
        raise StorageError(f'{path}: {error}. Expected a local path, or a URL such as '
                           's3://BUCKET/FOLDER.') from error


def _retried(path: Any, action: Callable[[], Result], what: str) -> Result:
    """Calls a function until it succeeds; missing files and permissions are final."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except FileNotFoundError as error:
            raise StorageError(
                f'{path} does not exist, or was removed while it was read.') from error
        except PermissionError as error:
            raise StorageError(f'{path} cannot be {what}: access is denied '
                               f'({said(error)}). Check the credentials and the '
                               'permissions of the bucket.') from error
        except Exception as error:  # each protocol has its own
            if getattr(error, 'errno', None) in _LOCAL:
                raise StorageError(
                    f'{path} cannot be copied to this machine: {said(error)}. Free '
                    f'space, or set {CACHE} to another folder.') from error
            name = type(error).__name__
            if 'Credentials' in name:
                raise StorageError(
                    f'{path} cannot be {what}: {said(error)}.') from error
            if attempt + 1 == ATTEMPTS:
                raise StorageError(
                    f'{path} cannot be {what} after {ATTEMPTS} attempts '
                    f'({name}: {said(error)}). Check the network and '
                    'run the same command again to resume.') from error
            time.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
    raise AssertionError('unreachable')


def said(error: Exception) -> str:
    """Returns the message of an error in one line."""
    return ' '.join(str(error).split())[:200].rstrip('.') or type(error).__name__
