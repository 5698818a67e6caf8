"""Fault points: the moments at which a process is killed."""

import io
import os
import random
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

#: Audit events that change files, and the positions of their paths.
_EVENTS = {'open': (0,), 'os.rename': (0, 1), 'os.remove': (0,), 'os.mkdir': (0,),
           'os.rmdir': (0,), 'os.truncate': (0,), 'os.link': (0, 1)}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class FaultPoint(NamedTuple):
    """A moment of a run at which it is killed with SIGKILL.

    Args:
        kind: ``time``: after ``value`` seconds; ``change``: when the output folder
            changes for the ``value``-th time; ``before``: before the ``value``-th file
            operation of the process; ``torn``: in the middle of that operation, so
            that the file is empty or has half of its content.
        value: see ``kind``; numbers start at 0.
        alone: kill only the process itself, and not its workers.
    """

    kind: str
    value: float
    alone: bool = False

    def __str__(self) -> str:
        number = f'{self.value:.2f}' if self.kind == 'time' else f'{self.value:.0f}'
        return f'{self.kind} {number}{" alone" if self.alone else ""}'


class Operation(NamedTuple):
    """A file operation of an undisturbed run.

    Args:
        kind: name of the audit event, ``fsync``, or ``torch.save``.
        name: name of the file, without varying digits.
    """

    kind: str
    name: str


class Operations:
    """Counts the file operations of this process inside a folder.

    An audit hook sees every file that Python opens for writing, renames or removes;
    ``os.fsync`` and ``torch.save`` are wrapped. The hook cannot be removed, so this
    class is for processes that end with the run.

    Args:
        folder: only operations in this folder count.
        record: called with each operation.
        point: where to kill, or None.
    """

    def __init__(self, folder: str, record: Callable[[Operation], None],
                 point: FaultPoint | None) -> None:
        self.folder, self.record, self.point = os.path.realpath(folder), record, point
        self.count, self._busy = 0, False
        sys.addaudithook(self._audit)
        self._fsync, os.fsync = os.fsync, self._counted_fsync
        self._save, torch.save = torch.save, self._counted_save

    def _audit(self, event: str, arguments: tuple) -> None:
        positions = _EVENTS.get(event)
        if positions is None or self._busy:
            return
        if event == 'open' and not _opens_to_write(arguments):
            return
        path = _path_of(event, arguments, positions[0])
        if path is None or not self._inside(path):
            return
        self._reached(Operation(event, _stable(path)), lambda: _tear(event, arguments))

    def _inside(self, path: str) -> bool:
        # abspath and not realpath: a hook for every open has to be fast
        return os.path.abspath(path).startswith(self.folder + os.sep)

    def _reached(self, operation: Operation, tear: Callable[[], None]) -> None:
        self._busy = True
        try:
            number, self.count = self.count, self.count + 1
            self.record(operation)
            if self.point and self.point.value == number:
                if self.point.kind == 'torn':
                    tear()
                die(self.point.alone)
        finally:
            self._busy = False

    def _counted_fsync(self, file: Any) -> None:
        if not self._busy:
            self._reached(Operation('fsync', ''), lambda: None)
        self._fsync(file)

    def _counted_save(self, content: Any, target: Any, *args: Any, **kwargs: Any
                      ) -> None:
        if isinstance(target, (str, os.PathLike)) and self._inside(str(target)):
            def tear() -> None:
                whole = io.BytesIO()
                self._save(content, whole, *args, **kwargs)
                with open(target, 'wb') as file:
                    file.write(whole.getvalue()[:whole.tell() // 2])
            self._reached(Operation('torch.save', _stable(str(target))), tear)
        self._save(content, target, *args, **kwargs)


def die(alone: bool) -> None:
    """Kills this process, or its whole process group, without any clean-up."""
    if alone:
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    signal.pause()


def draw_points(draws: random.Random, number: int, operations: Sequence[Operation],
                changes: int, seconds: float, workers: bool) -> list[FaultPoint]:
    """Draws the moments at which one run is killed, one after the other.

    Half of them are aimed: a kind of file operation is drawn first and one of its
    occurrences second, so that rare operations are hit as often as frequent ones.

    Args:
        draws: source of random numbers.
        number: number of kills.
        operations: those of an undisturbed run.
        changes: number of changes of the output folder in an undisturbed run.
        seconds: duration of an undisturbed run.
        workers: the tool starts other processes.
    """
    kinds: dict[Operation, list[int]] = {}
    for position, operation in enumerate(operations):
        kinds.setdefault(operation, []).append(position)
    points = []
    for _ in range(number):
        alone = workers and draws.random() < 0.3
        chosen = draws.random()
        if chosen < 0.5 and kinds:
            position = draws.choice(kinds[draws.choice(sorted(kinds))])
            points.append(FaultPoint(draws.choice(('before', 'torn')), position, alone))
        elif chosen < 0.65 and changes:
            points.append(FaultPoint('change', draws.randrange(changes), alone))
        else:
            points.append(FaultPoint('time', draws.uniform(0, seconds), alone))
    return points


def _opens_to_write(arguments: tuple) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in 'wax+')
    return bool((flags or 0) & _WRITES)


def _path_of(event: str, arguments: tuple, position: int) -> str | None:
    path = arguments[position]
    if isinstance(path, int):
        return None
    path = os.fsdecode(path)
    # rmtree removes by name and file descriptor of the folder
    if event in ('os.remove', 'os.rmdir') and arguments[1] not in (-1, None):
        return os.path.join(os.readlink(f'/proc/self/fd/{arguments[1]}'), path)
    return path


def _tear(event: str, arguments: tuple) -> None:
    """Leaves what a process leaves that is killed inside of an operation."""
    if event == 'open':
        path, mode, flags = arguments
        truncates = 'w' in mode if isinstance(mode, str) else flags & os.O_TRUNC
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | (
            os.O_TRUNC if truncates else 0), 0o644))


def _stable(path: str) -> str:
    """Returns the name of a file without digits and random parts."""
    name = re.sub(r'(part-|draft-|tmp|writable-).*', r'\1', os.path.basename(path))
    return re.sub(r'[0-9a-f]{6,}|\d+', '0', name)
