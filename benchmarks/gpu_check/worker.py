"""The measuring process and its client.

Measurements run in a separate process, which can be killed when it hangs and replaced
after a CUDA error, which every later call in the same process would raise again.
"""

import importlib.metadata
import multiprocessing
import os
import platform
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.commands import Place, explanation

_PACKAGES = ('fdsr', 'mmcv', 'mmcv-lite', 'mmagic', 'triton', 'numpy', 'pytest')
_GPU_ERRORS = ('CUDA error', 'device-side assert', 'CUBLAS_STATUS', 'CUDNN_STATUS')


class MeasuringError(RuntimeError):
    """A measurement failed."""


class OutOfTime(MeasuringError):
    """A measurement was stopped because it exceeded its time limit."""


class MeasuringProcess:
    """Sends requests to a ``Worker``, which it starts on demand and after a failure."""

    def __init__(self, place: Place, device: str) -> None:
        self.place, self.device = place, device
        self.log = place.folder / 'worker.log'
        self._process: multiprocessing.process.BaseProcess | None = None

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """Returns the values of a request, the arguments of ``Worker.measure``.

        Raises:
            OutOfTime: no answer in time.
            MeasuringError: the process ended, or answered with an error.
        """
        if self._process is None:
            self._start()
        try:
            self._connection.send(request)
            if not self._connection.poll(limit):
                self.close()
                raise OutOfTime(f'not finished within {limit:.0f} s')
            values, error, broken = self._connection.recv()
        except (EOFError, ConnectionError):
            self.close()
            raise MeasuringError('the measuring process ended: ' + explanation(
                self.log.read_text() if self.log.is_file() else '')) from None
        if broken:
            self.close()
        if error:
            raise MeasuringError(error)
        return values

    def close(self) -> None:
        """Ends the process and its children. The next request starts another one."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context('spawn')
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, self.place, self.device, self.log))
        self._process.start()
        other.close()


def _serve(connection: Connection, place: Place, device: str, log: Path) -> None:
    os.setsid()
    with open(log, 'a') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(place.root)
    os.environ.update(place.environment())  # before torch is imported
    with tempfile.TemporaryDirectory(prefix='fdsr_gpu_check_') as folder:
        worker = Worker(device, Path(folder))
        with suppress(EOFError):
            while True:
                connection.send(worker.answer(connection.recv()))


class Worker:
    """Answers requests and keeps the benches that it has built."""

    def __init__(self, device: str, folder: Path) -> None:
        self.device, self.folder = device, folder
        self._benches: dict[tuple[str, str], Any] = {}
        self._current: tuple[str, str] | None = None

    def answer(self, request: dict[str, Any]) -> tuple[dict | None, str, bool]:
        """Returns the values, the error, and whether the GPU no longer works here."""
        try:
            return self.measure(**request), '', False
        except Exception as error:
            traceback.print_exc()
            self._benches.pop(self._current, None)
            self._current = None
            return None, one_line(error), _breaks_the_process(error)

    def measure(self, kind: str, case: Case | None = None,
                **arguments: Any) -> dict[str, Any]:
        """Describes the environment, or measures a case with the bench of a kind."""
        from fdsr.registry import register_all
        register_all()
        if kind == 'environment':
            return environment(self.device)
        return self._bench(kind, case).measure(**arguments)

    def _bench(self, kind: str, case: Case) -> Any:
        """Returns the bench of a case, the only one whose model is on the device."""
        from benchmarks.gpu_check.speed import BENCHES, release
        key = kind, case.name
        if key != self._current:
            if self._current:
                self._benches[self._current].model.to('cpu')
            self._current = None
            release(self.device)
            if key not in self._benches:
                self._benches[key] = BENCHES[kind](case, self.device, self.folder)
            self._benches[key].model.to(self.device)
            self._current = key
        return self._benches[key]


def one_line(error: BaseException) -> str:
    """Returns an error's type and the first line of its message.

    In torch's errors the lines below it are advice on debugging. A first line that
    ends with a colon announces another error, so the second line is included.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].endswith(':'):
        lines = [' '.join(lines[:2])]
    return ': '.join([type(error).__name__, *lines[:1]])


def _breaks_the_process(error: Exception) -> bool:
    import torch
    return (not isinstance(error, torch.cuda.OutOfMemoryError)
            and any(sign in str(error) for sign in _GPU_ERRORS))


def environment(device: str) -> dict[str, Any]:
    """Returns versions, GPU and driver as values for JSON."""
    import torch

    from fdsr.utils.hardware import hardware
    facts = hardware()
    for name in _PACKAGES:
        facts[name] = _fact(lambda name=name: importlib.metadata.version(name))
    facts['system'] = f'{platform.system()} {platform.machine()}'
    if device != 'cuda':
        return {**facts, 'gpu': None}
    properties = torch.cuda.get_device_properties(0)
    return dict(
        facts, gpu=properties.name,
        gpu_memory_gb=round(properties.total_memory / 1e9, 1),
        compute_capability=f'{properties.major}.{properties.minor}',
        driver=_fact(_driver), cuda=torch.version.cuda,
        cudnn=_fact(torch.backends.cudnn.version),
        nccl=_fact(lambda: '.'.join(map(str, torch.cuda.nccl.version()))),
        tf32_convolutions=_fact(lambda: torch.backends.cudnn.allow_tf32),
        tf32_products=_fact(lambda: torch.backends.cuda.matmul.allow_tf32))


def _fact(read: Callable[[], Any]) -> Any:
    """Returns the result of a function, None if this machine does not provide it."""
    try:
        return read()
    except (ImportError, AttributeError, RuntimeError, OSError, IndexError):
        return None


def _driver() -> str:
    return subprocess.run(
        ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'],
        text=True, capture_output=True).stdout.split()[0]
