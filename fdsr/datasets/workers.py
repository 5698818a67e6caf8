"""One function over many items in several processes, in order, and gone when told."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Sequence

#: Items that are begun ahead of the one that is waited for, for each worker.
_AHEAD = 8
#: What a function says about its own set-up, and what is passed on as it is.
_EXPLAINED = (ImportError, FileNotFoundError, ValueError)

_function: Callable[[Any], Any]


def in_processes(function: Callable[[Any], Any], items: Sequence[Any],
                 num_workers: int) -> Iterator[Any]:
    """The results of the items, in the items' order.

    The processes are new ones, to which the function is pickled. They take no notice
    of Ctrl-C, and end at once when the iterator is closed or this process is gone,
    however that came to be.

    Args:
        function: of one item; with all it needs it can be pickled.
        items: what it is called with.
        num_workers: 1 or more.

    Raises:
        RuntimeError: a process died.
        ImportError, FileNotFoundError, ValueError: the function's own.
    """
    context = multiprocessing.get_context('spawn')
    ending, end = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        num_workers, context, initializer=_start, initargs=(function, ending))
    try:
        yield from _in_order(executor, items, num_workers)
    except BrokenProcessPool as error:
        raise RuntimeError(
            'A worker died, perhaps because memory ran out. Run the same command again '
            'with fewer workers: it goes on where it stopped.') from error
    finally:
        end.close()  # the workers see that, whatever they are at
        executor.shutdown(wait=True, cancel_futures=True)
        ending.close()


def _in_order(executor: ProcessPoolExecutor, items: Sequence[Any],
              num_workers: int) -> Iterator[Any]:
    waiting: deque = deque()
    for number, item in enumerate(items):
        if number < num_workers:
            with _without_interrupts():
                waiting.append(executor.submit(_call, item))
        else:
            waiting.append(executor.submit(_call, item))
        if len(waiting) > _AHEAD * num_workers:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(future: Any) -> Any:
    try:
        return future.result()
    except _EXPLAINED as error:
        raise type(error)(str(error)) from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """New processes inherit that they take no notice of Ctrl-C, from the first moment.
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
    """In a worker: keeps the function, and watches for the end."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(ending,), daemon=True).start()


def _end_with(ending: Any) -> None:
    ending.poll(None)  # nothing is ever sent: it is over
    os._exit(0)


def _call(item: Any) -> Any:
    return _function(item)
