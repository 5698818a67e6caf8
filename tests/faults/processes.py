"""Victim processes: forked, killed at a fault point, and waited for."""

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.points import FaultPoint, Operation, Operations

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL = 0.003
#: Seconds that workers have to end after their parent was killed.
GRACE = 20.0


class Ended(NamedTuple):
    """How a process ended.

    Args:
        killed: by its fault point; it then has to be restarted.
        code: its exit code, or minus the number of the signal.
        seconds: its duration.
        orphans: number of its processes that outlived it by more than ``GRACE``.
        operations: its file operations.
        changes: number of changes of its output folder that were observed.
        hung: it was stopped at its time limit.
    """

    killed: bool
    code: int
    seconds: float
    orphans: int
    operations: list[Operation]
    changes: int
    hung: bool = False


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants that lose theirs."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Kills this process when its parent ends, so that no victim outlives a campaign.

    Children do not inherit it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run_once(work: Callable[[], None], folder: Path, out: Path,
             point: FaultPoint | None = None, limit: float = 600.0) -> Ended:
    """Runs a function in a forked process group and kills it at a fault point.

    Args:
        work: what the process does; ``SystemExit`` gives its exit code.
        folder: current folder of the process; it also holds its log ``log.txt`` and its
            temporary folder ``tmp``.
        out: folder whose file operations and changes count.
        point: where to kill it; None: nowhere.
        limit: seconds after which the process counts as hung and is killed.
    """
    record = folder / 'operations.txt'
    record.unlink(missing_ok=True)
    (folder / 'tmp').mkdir(exist_ok=True)
    # Worker processes create sockets there, whose paths have at most 107 bytes.
    with tempfile.TemporaryDirectory() as short:
        temporary = Path(short, 't')
        temporary.symlink_to(folder / 'tmp')
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _child(work, folder, out, record, point, temporary)
        status, changes, hung = _wait(pid, started, out, point, limit)
        seconds = time.monotonic() - started
        code = os.waitstatus_to_exitcode(status)
        orphans = _orphans(pid)
    lines = record.read_text().splitlines() if record.exists() else []
    operations = [Operation(*line.split('\t', 1)) for line in lines]
    planned = point is not None and (
        code == -signal.SIGKILL or (point.alone and code != 0))
    return Ended(planned and not hung, code, seconds, orphans, operations, changes,
                 hung)


def _wait(pid: int, started: float, out: Path, point: FaultPoint | None, limit: float
          ) -> tuple[int, int, bool]:
    """Waits for a process and kills it at a point of time or at a change."""
    changes, seen = 0, _sizes(out)
    watches = point is None or point.kind == 'change'
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status, changes, False
        elapsed = time.monotonic() - started
        if watches:
            now = _sizes(out)
            changes, seen = changes + (now != seen), now
        if point is not None and (
                point.kind == 'time' and elapsed >= point.value
                or point.kind == 'change' and changes > point.value):
            (os.kill if point.alone else _kill_group)(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1], changes, False
        if elapsed > limit:
            _kill_group(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1], changes, True
        time.sleep(_POLL)


def _kill_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
    with contextlib.suppress(ProcessLookupError):  # before it leads a group
        os.kill(pid, number)


def _sizes(folder: Path) -> list[tuple[str, int]]:
    """Returns the files below a folder and their sizes; they may vanish meanwhile."""
    found, folders = [], [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    found.append((entry.path, entry.stat().st_size))
    return sorted(found)


def _orphans(session: int) -> int:
    """Waits for the other processes of a session, counts and kills those that stay."""
    deadline = time.monotonic() + GRACE
    while (left := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.01 if left else 0)
    _reap()
    return len(left)


def _members(session: int) -> list[int]:
    """Returns the living processes of a session, and adopted ones of any session."""
    _reap()
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = Path('/proc', name, 'stat').read_text().rpartition(')')[2]
                state, parent, _, its_session = fields.split()[:4]
                if state not in 'ZX' and (int(its_session) == session
                                          or int(parent) == os.getpid()):
                    found.append(int(name))
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _child(work: Callable[[], None], folder: Path, out: Path, record: Path,
           point: FaultPoint | None, temporary: Path) -> None:
    """Body of the forked process; never returns."""
    code = 1
    try:
        os.setsid()
        die_with_parent()
        log = os.open(folder / 'log.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(folder)
        os.environ['TMPDIR'] = str(temporary)
        tempfile.tempdir = None
        file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        aimed = point if point and point.kind in ('before', 'torn') else None
        Operations(str(out), lambda found: _note(file, found), aimed)
        code = _exit_code(work)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
            threading._shutdown()
            atexit._run_exitfuncs()
        os._exit(code)


def _note(file: int, operation: Operation) -> None:
    os.write(file, f'{operation.kind}\t{operation.name}\n'.encode())


def _exit_code(work: Callable[[], None]) -> int:
    try:
        work()
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run_ranks(work: Callable[[], None], ranks: int) -> None:
    """Runs a function in several processes, like torchrun: all end when one fails."""
    import socket
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(ranks):
        process = multiprocessing.get_context('fork').Process(
            target=_rank, args=(work, rank, ranks, port))
        process.start()
        started.append(process)
    # a rank may end between two calls of is_alive, and wait([]) never returns
    while alive := [process for process in started if process.is_alive()]:
        multiprocessing.connection.wait([process.sentinel for process in alive])
        if any(process.exitcode for process in started):
            for process in started:
                process.kill()
    sys.exit(int(any(process.exitcode for process in started)))


def _rank(work: Callable[[], None], rank: int, ranks: int, port: int) -> None:
    die_with_parent()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks),
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    work()
