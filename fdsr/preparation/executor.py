"""Ordered map on this machine or on a Ray cluster.

Ray workers keep one unpickled function, for example a detector with its model. If a
worker or node dies, Ray repeats its tasks elsewhere.
"""

import contextlib
import itertools
import os
import pickle
import socket
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdsr.datasets.workers import in_processes

LOCAL, AUTO = 'local', 'auto'
#: Repetitions of a task whose worker or node died.
RETRIES = 5
#: Pending tasks per CPU of the cluster.
_AHEAD = 4
#: Seconds to wait for the cluster's address.
_PATIENCE = 5


class ClusterError(RuntimeError):
    """Raised if a Ray cluster cannot be reached or used."""


@dataclass(frozen=True)
class Executor:
    """Runs a function on many items, and returns the results in their order.

    Args:
        workers: number of processes on this machine; 0 uses this process.
        ray: address of a Ray cluster (``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``),
            or ``local`` for Ray on this machine, which then starts ``workers``
            processes or one per core; None does not use Ray. The nodes need fdsr and
            the same paths to inputs and outputs.

    Raises:
        ImportError: Ray is not installed.
    """

    workers: int = 0
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.ray is not None:
            _import_ray()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any],
            per_task: int = 1) -> Iterator[Any]:
        """Yields the results of the items in their order. Close it to stop early.

        Args:
            function: picklable function of one item.
            items: arguments of the function.
            per_task: number of items of a Ray task.

        Raises:
            ClusterError: the cluster cannot be reached, or a node lacks the package.
            RuntimeError: a process died too often.
            Exception: raised by the function.
        """
        workers = min(self.workers, len(items))
        if self.ray is not None and items:
            yield from self._on_ray(function, items, per_task)
        elif workers:
            yield from in_processes(function, items, workers)
        else:
            for item in items:
                yield function(item)

    def _on_ray(self, function: Callable[[Any], Any], items: Sequence[Any],
                per_task: int) -> Iterator[Any]:
        ray = _import_ray()
        with _connected(self.ray, self.workers):
            # as an array, which the workers of a node share
            blob = ray.put(np.frombuffer(pickle.dumps(function), np.uint8))
            job = uuid.uuid4().hex, os.getcwd()
            task = ray.remote(num_cpus=1, max_retries=RETRIES)(_portable())
            pending: deque = deque()
            parts = iter(_parts(items, per_task))
            # Pending tasks are not cancelled: Ray 2 aborts the process if one ends at
            # the same time. They end with the connection.
            while True:
                free = _AHEAD * _cpus(ray) - len(pending)
                pending += [task.remote(job, blob, part)
                            for part in itertools.islice(parts, max(free, 0))]
                if not pending:
                    return
                yield from _result(ray, pending.popleft())


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError('--ray needs Ray: pip install "fdsr[cluster]"') from error
    return ray


@contextlib.contextmanager
def _connected(address: str, workers: int) -> Iterator[None]:
    """Connects to a cluster, or starts Ray on this machine.

    A connection that this process already has is used and stays open.

    Raises:
        ClusterError: the address cannot be reached.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield
        return
    if address not in (LOCAL, AUTO):
        _check_reachable(address)
    try:
        ray.init(address, log_to_driver=False, logging_level='ERROR', **(
            dict(num_cpus=workers or None, include_dashboard=False)
            if address == LOCAL else {}))
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise ClusterError(
            f'--ray {address}: cannot connect to a Ray cluster '
            f'({" ".join(str(error).split())[:200]}). Start one with "ray start '
            '--head", or correct the address.') from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition('://')[2].rpartition(':')
    try:
        with socket.create_connection((host, int(port)), timeout=_PATIENCE):
            return
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(
            f'--ray {address}: no Ray cluster answers there ({error}); expected '
            'HOST:PORT of "ray start --head", usually port 6379.') from error


def _cpus(ray: Any) -> int:
    """Returns the CPUs of the cluster, which may grow or shrink."""
    return max(1, int(ray.cluster_resources().get('CPU', 1)))


def _result(ray: Any, reference: Any) -> list[Any]:
    """Waits for a task and returns its results.

    Raises:
        ClusterError: the node lacks the package.
        RuntimeError: its worker died too often.
        Exception: raised by the function.
    """
    try:
        node, missing, results = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayError as error:
        raise RuntimeError(
            f'A task failed {RETRIES + 1} times, because its workers died or their '
            f'nodes were lost, possibly because memory ran out ({type(error).__name__})'
            '. Run the same command again to resume.') from error
    if missing:
        raise ClusterError(f'The node {node} cannot import fdsr and its packages '
                           f'({missing}): install the same version there.')
    return results


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start:start + size])


def _portable() -> Callable[..., tuple[str, str, list[Any]]]:
    """Returns the task, a nested function, which Ray pickles by value.

    Therefore it starts on nodes without this package too, and reports them.
    """
    def run(job: tuple[str, str], blob: Any, part: list[Any]
            ) -> tuple[str, str, list[Any]]:
        import socket
        node = socket.gethostname()
        try:
            from fdsr.preparation.executor import loaded
            function = loaded(job, blob)
        except ImportError as error:
            return node, str(error), []
        return node, '', [function(item) for item in part]
    return run


_loaded: dict[tuple[str, str], Callable[[Any], Any]] = {}


def loaded(job: tuple[str, str], blob: np.ndarray) -> Callable[[Any], Any]:
    """Returns the function of a job in a Ray worker, which keeps it.

    Args:
        job: its number and the current folder of the driver, to which paths are
            relative.
        blob: pickle of the function, uint8.
    """
    if job not in _loaded:
        with contextlib.suppress(FileNotFoundError):
            os.chdir(job[1])
        _loaded.clear()
        _loaded[job] = pickle.loads(memoryview(blob))
    return _loaded[job]
