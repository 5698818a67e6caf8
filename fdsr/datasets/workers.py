"""Ordered map over several processes that ends reliably."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Sequence

#: Maximum number of pending items per worker.
_AHEAD = 8

_function: Callable[[Any], Any]


def in_processes(function: Callable[[Any], Any], items: Sequence[Any],
                 num_workers: int) -> Iterator[Any]:
    """Yields the results of the items in their order.

    The function is pickled to newly spawned processes. They ignore Ctrl-C, and end
    immediately when the iterator is closed or this process ends for any reason.

    Args:
        function: picklable function of one item.
        items: arguments of the function.
        num_workers: number of processes, at least 1.

    Raises:
        RuntimeError: a process died.
        Exception: raised by the function.
    """
    context = multiprocessing.get_context('spawn')
    ending, end = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        num_workers, context, initializer=_start, initargs=(function, ending))
    try:
        yield from _in_order(executor, items, num_workers)
    except BrokenProcessPool as error:
        raise RuntimeError(
            'A worker died, possibly because memory ran out. Run the same command '
            'again with fewer workers to resume.') from error
    finally:
        end.close()  # ends the workers, even busy ones
        executor.shutdown(wait=True, cancel_futures=True)
        ending.close()


def _in_order(executor: ProcessPoolExecutor, items: Sequence[Any],
              num_workers: int) -> Iterator[Any]:
    with _without_interrupts():
        for _ in range(min(num_workers, len(items))):
            executor.submit(int)  # starts a process
    waiting: deque = deque()
    for item in items:
        waiting.append(executor.submit(_call, item))
        if len(waiting) > _AHEAD * num_workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignores Ctrl-C inside of the block, which new processes inherit.

    A Ctrl-C inside of the block is lost: keep it short.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(function: Callable[[Any], Any], ending: Any) -> None:
    """Initialises a worker: stores the function and watches for the end."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(ending,), daemon=True).start()


def _end_with(ending: Any) -> None:
    ending.poll(None)  # nothing is sent: it returns when the pipe is closed
    os._exit(0)


def _call(item: Any) -> Any:
    return _function(item)
