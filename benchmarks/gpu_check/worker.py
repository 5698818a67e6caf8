"""The process that measures, one request after the other.

``MeasuringProcess`` starts ``python -m benchmarks.gpu_check.worker DEVICE`` and writes
each request to its input, a JSON object on a line; the worker answers in the same way.
A separate process can be killed when it hangs, and replaced after a CUDA error, which
every later call in the same process would raise again.
"""

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any


class Worker:
    """Answers requests; keeps what it has built for the next one.

    Args:
        device: ``cuda`` or ``cpu``.
        folder: for temporary files.
    """

    def __init__(self, device: str, folder: Path) -> None:
        self.device, self.folder = device, folder
        self._benches: dict[str, Any] = {}
        self._current = ''

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns ``{'values': …}``, or ``{'error': …}`` with ``broken``.

        ``broken`` says that the GPU reported an error, after which this process is of
        no further use.
        """
        try:
            return {'values': self._measure(**request)}
        except Exception as error:
            traceback.print_exc()
            self._benches.pop(self._current, None)
            self._current = ''
            return {'error': one_line(error), 'broken': _breaks_the_process(error)}

    def _measure(self, kind: str, case: dict | None = None,
                 **arguments: Any) -> dict[str, Any]:
        if kind == 'environment':
            from benchmarks.gpu_check.environment import environment
            from fdsr.registry import register_all
            register_all()
            return environment(self.device)
        return self._bench_of(kind, case).measure(**arguments)

    def _bench_of(self, kind: str, case: dict) -> Any:
        """The bench of a case: on the device, where the others are not."""
        from benchmarks.gpu_check.cases import Case
        from benchmarks.gpu_check.inference import InferenceBench
        from benchmarks.gpu_check.training import TrainingBench, release
        key = json.dumps([kind, case])
        if key != self._current:
            if self._current:
                self._benches[self._current].move_to('cpu')
            self._current = ''
            release(self.device)
            if key not in self._benches:
                bench = {'training': TrainingBench, 'inference': InferenceBench}[kind]
                self._benches[key] = bench(
                    Case.from_dict(case), self.device, self.folder)
            self._benches[key].move_to(self.device)
            self._current = key
        return self._benches[key]


def one_line(error: BaseException) -> str:
    """Returns an error's type and the first line of its text.

    What follows the first line of torch's errors is advice on debugging; only where
    that line announces another one, the next one counts as well.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].endswith(':'):
        lines = [' '.join(lines[:2])]
    return ': '.join([type(error).__name__, *lines[:1]])


def _breaks_the_process(error: Exception) -> bool:
    import torch
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return False
    return any(sign in str(error) for sign in (
        'CUDA error', 'device-side assert', 'CUBLAS_STATUS', 'CUDNN_STATUS'))


def main() -> None:
    device = sys.argv[1]
    # whatever libraries print goes to the log, and the answers alone to the output
    answers = os.fdopen(os.dup(sys.stdout.fileno()), 'w', encoding='utf-8')
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with tempfile.TemporaryDirectory(prefix='fdsr_gpu_check_') as folder:
        worker = Worker(device, Path(folder))
        for line in sys.stdin:
            print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == '__main__':
    main()
