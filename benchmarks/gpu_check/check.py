"""The whole check: all steps in order, each with its share of the time."""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_check import commands
from benchmarks.gpu_check.cases import (
    PRECISIONS,
    RANDOM_WEIGHTS,
    Case,
    full_cases,
    inference_networks,
    miniature_cases,
)
from benchmarks.gpu_check.report import (
    FAILED,
    NOT_RUN,
    OK,
    SKIPPED,
    Outcome,
    Report,
    Row,
)
from benchmarks.gpu_check.worker import MeasuringError, MeasuringProcess, OutOfTime

STEPS = ('tests', 'resume', 'processes', 'training', 'inference', 'compile')
#: Weight of a step when the time is divided, and the minimum of its time limit, s.
_WEIGHTS = dict(environment=20, tests=40, resume=50, processes=25, training=12,
                inference=2, compile=30)
_LEAST = dict(environment=90, tests=120, resume=150, processes=90, training=45,
              inference=30, compile=150)
#: With fewer seconds left, no further step starts.
_TOO_LATE = 3.0
_COMPILE_ORDER = ('bf16', 'fp32', 'fp16')
_BATCH_SIZES = (1, 8)
_COMMANDS = {
    'tests': ('tests marked gpu', commands.gpu_tests),
    'resume': ('resumed run', commands.resume),
    'processes': ('one process with torchrun', commands.distributed)}
#: Why fp16 is skipped on a CPU.
_NO_FP16 = dict(training='AmpOptimWrapper, which scales the gradients, needs a GPU',
                inference='measured on a GPU only')
_SHOWN = ('gpu', 'cpu', 'driver', 'cuda', 'python', 'torch', 'mmengine', 'mmcv',
          'mmcv-lite', 'mmagic')


@dataclass
class Settings:
    """The settings of a check."""

    root: Path  #: the repository
    out: Path  #: folder for the report
    minutes: float = 8.0  #: for the whole check
    miniature: bool = False  #: toy networks on the CPU
    only: tuple[str, ...] = STEPS
    configs: tuple[str, ...] = ()  #: names of the cases to train; empty: all
    steps: int = 200  #: maximum number of timed steps of a measurement
    batch_size: int | None = None  #: of training; None: each config's
    command: str = ''  #: for the protocol

    def cases(self) -> dict[str, Case]:
        """Returns the configs to train."""
        cases = (miniature_cases if self.miniature else full_cases)(self.root)
        size = {} if self.batch_size is None else dict(batch_size=self.batch_size)
        return {name: replace(case, **size) for name, case in cases.items()
                if not self.configs or name in self.configs}


class Budget:
    """Divides the remaining time among the remaining measurements.

    A measurement's share is its weight over the sum of the remaining weights, so time
    that one does not use goes to the later ones.
    """

    def __init__(self, seconds: float, weights: list[float],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._weights, self._clock = seconds, list(weights), clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def remaining(self) -> float:
        """Seconds until the end, at least 0."""
        return max(0.0, self.seconds - self.elapsed)

    def next_share(self) -> float:
        """Starts the next measurement and returns its share in seconds."""
        total = sum(self._weights)
        return self.remaining * self._weights.pop(0) / total

    def hard_limit(self, share: float, least: float) -> float:
        """Returns the time limit for a share: twice the share, at least ``least``."""
        return min(max(2 * share, least), self.remaining)


@dataclass
class Task:
    """A row of the report and the function that fills it."""

    row: Row
    #: called with the seconds that it should take, and its time limit
    run: Callable[[float, float], Outcome]
    skipped: str = ''  #: why this machine skips it; empty if it does not


def run_check(settings: Settings, say: Callable[[str], Any] = print) -> Report:
    """Checks a GPU, or runs the same steps in miniature on the CPU.

    The report is written after each step, so an interrupted check keeps its results.

    Raises:
        RuntimeError: no GPU was found.
        ImportError: a package is missing that training needs.
    """
    require_machine(settings.miniature)
    cases = settings.cases()
    settings.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='fdsr_gpu_check_') as folder:
        place = commands.Place(settings.root, Path(folder), settings.miniature)
        process = MeasuringProcess(place, 'cpu' if settings.miniature else 'cuda')
        tasks = make_tasks(settings, cases, place, process)
        report = Report([task.row for task in tasks], _protocol(settings, cases))
        say(f'Note: {RANDOM_WEIGHTS}.')
        try:
            run_tasks(tasks, Budget(60 * settings.minutes, [
                _WEIGHTS[task.row.step] for task in tasks]), report, settings, say)
        finally:
            process.close()
            report.write(settings.out)
            logs = settings.out / 'logs'
            logs.mkdir(exist_ok=True)
            for log in place.folder.glob('*.log'):
                (logs / log.name).write_text(log.read_text(errors='replace'), 'utf-8')
    return report


def require_machine(miniature: bool) -> None:
    """Checks that torch, the training packages and a GPU are available."""
    if importlib.util.find_spec('torch') is None:
        raise ImportError('torch is not installed: see https://pytorch.org.')
    import torch

    from fdsr.registry import require_training
    require_training()
    if not miniature and not torch.cuda.is_available():
        raise RuntimeError(
            'No GPU was found (torch.cuda.is_available() is False). --miniature runs '
            'the same steps with toy networks on the CPU.')


def make_tasks(settings: Settings, cases: dict[str, Case], place: commands.Place,
               process: MeasuringProcess) -> list[Task]:
    """Returns the tasks of a check, the most important first."""
    def measured(step: str, case: Case, precision: str, **labels: Any) -> Task:
        kind = 'inference' if step == 'inference' else 'training'
        request = dict(kind=kind, case=case, precision=precision, **labels)
        if kind == 'inference':
            request.update(repeats=settings.steps)
        else:
            request.update(steps=settings.steps,
                           backend='eager' if settings.miniature else 'inductor')
        skipped = precision == 'fp16' and settings.miniature
        return Task(Row(step, case.name, dict(precision=precision, **labels)),
                    partial(_measure, process, request),
                    _NO_FP16[kind] if skipped else '')

    networks = inference_networks(cases, settings.root, settings.miniature)
    by_step = {
        **{step: [Task(Row(step, name), lambda _, limit, run=run: run(place, limit))]
           for step, (name, run) in _COMMANDS.items()},
        'training': [measured('training', case, precision, mode='eager')
                     for case in cases.values() for precision in PRECISIONS],
        'inference': [measured('inference', case, precision, batch_size=batch_size)
                      for case in networks.values() for precision in PRECISIONS
                      for batch_size in _BATCH_SIZES],
        'compile': [measured('compile', case, precision, mode='compile')
                    for precision in _COMPILE_ORDER
                    for case in reversed(cases.values())]}
    tasks = [Task(Row('environment', 'environment'), partial(_environment, process))]
    return tasks + [task for step in STEPS if step in settings.only
                    for task in by_step[step]]


def _measure(process: MeasuringProcess, request: dict[str, Any], share: float,
             limit: float) -> Outcome:
    values = process.ask({**request, 'seconds': share}, limit)
    if values['finite']:
        return Outcome(OK, values=values)
    bad = [name for name, value in values.get('losses', {}).items()
           if isinstance(value, str)]
    return Outcome(FAILED, f'not finite: {", ".join(bad) or "SR"}', values)


def _environment(process: MeasuringProcess, share: float, limit: float) -> Outcome:
    facts = process.ask(dict(kind='environment'), limit)
    return Outcome(OK, ', '.join(
        f'{name} {facts[name]}' for name in _SHOWN if facts.get(name)), facts)


def run_tasks(tasks: list[Task], budget: Budget, report: Report, settings: Settings,
              say: Callable[[str], Any]) -> None:
    """Runs the tasks and fills the report. A failed task does not stop the others."""
    for number, task in enumerate(tasks, 1):
        row, begin = task.row, budget.elapsed
        row.outcome = _outcome(task, budget.next_share(), budget, settings)
        row.seconds = budget.elapsed - begin
        if row.step == 'environment':
            report.protocol['hardware'] = row.outcome.values
        report.write(settings.out)
        say(f'[{number}/{len(tasks)}, {budget.elapsed:.0f} s, '
            f'{budget.remaining:.0f} s left] {row}: {_summary(row, report)}')
        if row.step == 'environment' and row.outcome.status == FAILED:
            for other in tasks[number:]:
                other.row.outcome = Outcome(NOT_RUN, 'fdsr does not work here')
            return


def _outcome(task: Task, share: float, budget: Budget, settings: Settings) -> Outcome:
    step = task.row.step
    if task.skipped:
        return Outcome(SKIPPED, task.skipped)
    if budget.remaining < _TOO_LATE:
        return Outcome(NOT_RUN, f'no time left of {settings.minutes:g} minutes')
    try:
        return task.run(share, budget.hard_limit(share, _LEAST[step]))
    except MeasuringError as error:
        # the time of a compilation does not depend on the GPU
        late = step == 'compile' and isinstance(error, OutOfTime)
        return Outcome(NOT_RUN if late else FAILED, str(error))
    except Exception as error:  # whatever it is, the other steps run
        return Outcome(FAILED, f'{type(error).__name__}: {error}')


def _summary(row: Row, report: Report) -> str:
    outcome, ratio = row.outcome, report.ratio(row)
    speed = outcome.values.get('images_per_second')
    return ', '.join(filter(None, [
        outcome.status, speed is not None and f'{speed:.1f} images/s',
        speed is None and outcome.detail,
        ratio is not None and f'{ratio:.2f} of fp32']))


def _protocol(settings: Settings, cases: dict[str, Case]) -> dict[str, Any]:
    protocol = dict(
        command=settings.command or ' '.join(sys.argv), date=time.strftime('%Y-%m-%d'),
        weights=RANDOM_WEIGHTS,
        training=f'train_step of the restorer with its optim wrappers on one batch of '
                 f'synthetic faces, without data loading; at most {settings.steps} '
                 'timed steps after 3',
        inference='torch.inference_mode on random images, autocast inside the call, '
                  'median; memory without the network and its input',
        memory='torch.cuda.max_memory_allocated, 10^9 bytes')
    if 'compile' in settings.only:
        protocol['compiled'] = {
            name: ', '.join(case.compiled) for name, case in cases.items()}
        protocol['compile_time'] = 'the first 3 steps minus 3 steps at measured speed'
    if settings.miniature:
        protocol['miniature'] = (
            'toy networks at 32 px on the CPU, without the code generation of '
            'torch.compile: shows whether the steps run, no speed')
    return protocol
