"""The check's end of the line to the measuring process."""

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.commands import Place, explanation, stop


class MeasuringError(RuntimeError):
    """A measurement that gave no result."""


class OutOfTime(MeasuringError):
    """A measurement that was stopped."""


class MeasuringProcess:
    """A ``worker``, started when it is needed and replaced after a failure.

    Args:
        place: where it runs.
        device: ``cuda`` or ``cpu``.
    """

    def __init__(self, place: Place, device: str) -> None:
        self.place, self.device = place, device
        self._process: subprocess.Popen | None = None
        self._answers: queue.Queue = queue.Queue()

    @property
    def log(self) -> Path:
        """The output of the process."""
        return self.place.folder / 'worker.log'

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Returns the values that a request gives, see ``Worker``.

        Args:
            request: plain values.
            seconds: after which the process is stopped.

        Raises:
            OutOfTime: no answer in time.
            MeasuringError: the process died, or answered with an error.
        """
        if self._process is None:
            self._start()
        try:
            self._process.stdin.write(json.dumps(request) + '\n')
            self._process.stdin.flush()
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise OutOfTime(f'not finished within {seconds:.0f} s') from None
        except BrokenPipeError:
            line = ''
        if not line:
            self.close()
            raise MeasuringError('the measuring process ended: '
                                 + explanation(self.log.read_text()))
        answer = json.loads(line)
        if 'error' in answer:
            if answer['broken']:
                self.close()
            raise MeasuringError(answer['error'])
        return answer['values']

    def close(self) -> None:
        """Ends the process; the next request starts another."""
        if self._process is not None:
            stop(self._process)
            self._process.stdin.close()
            self._process = None

    def _start(self) -> None:
        with open(self.log, 'a') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'benchmarks.gpu_check.worker', self.device],
                cwd=self.place.root, env=self.place.environment(), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True)
        self._answers = queue.Queue()
        threading.Thread(target=_read, args=(self._process.stdout, self._answers),
                         daemon=True).start()


def _read(stream: Any, answers: queue.Queue) -> None:
    with stream:
        for line in stream:
            answers.put(line)
    answers.put('')
