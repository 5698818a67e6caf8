"""The whole check: steps in order, each with its share of the time."""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_check import commands
from benchmarks.gpu_check.budget import Budget
from benchmarks.gpu_check.cases import (
    MODES,
    NO_FP16,
    PRECISIONS,
    RANDOM_WEIGHTS,
    Case,
    full_cases,
    inference_networks,
    miniature_cases,
)
from benchmarks.gpu_check.client import MeasuringError, MeasuringProcess, OutOfTime
from benchmarks.gpu_check.report import (
    FAILED,
    NOT_RUN,
    OK,
    SKIPPED,
    Outcome,
    Report,
    Row,
)

STEPS = ('tests', 'resume', 'processes', 'training', 'inference', 'compile')
#: What a step weighs when the time is divided, and the seconds that it may take in any
#: case while there is time at all.
_WEIGHTS = dict(environment=20, tests=40, resume=50, processes=25, training=12,
                inference=2, compile=30)
_LEAST = dict(environment=90, tests=120, resume=150, processes=90, training=45,
              inference=30, compile=150)
#: With less than this many seconds left, nothing is begun.
_TOO_LATE = 3.0
_COMPILE_ORDER = ('bf16', 'fp32', 'fp16')
_BATCH_SIZES = (1, 8)


class NoGpu(RuntimeError):
    """No GPU was found."""


@dataclass
class Settings:
    """The settings of a check.

    Args:
        root: the repository, with ``configs``, ``tools`` and ``tests``.
        out: the folder for the report.
        minutes: for everything.
        miniature: toys on the CPU instead of the full-size configs on the GPU.
        only: of ``STEPS``.
        configs: names of cases; empty: all.
        steps: timed training steps of a measurement at most.
        batch_size: of training; None: each config's.
        command: how the check was called, for the protocol.
    """

    root: Path
    out: Path
    minutes: float = 8.0
    miniature: bool = False
    only: tuple[str, ...] = STEPS
    configs: tuple[str, ...] = ()
    steps: int = 200
    batch_size: int | None = None
    command: str = ''

    @property
    def device(self) -> str:
        """The device to measure on."""
        return 'cpu' if self.miniature else 'cuda'

    def cases(self) -> dict[str, Case]:
        """Returns the training configs to measure.

        Raises:
            ValueError: an unknown name.
        """
        cases = (miniature_cases if self.miniature else full_cases)(self.root)
        unknown = set(self.configs) - set(cases)
        if unknown:
            raise ValueError(f'Unknown configs {", ".join(sorted(unknown))}; there are '
                             f'{", ".join(cases)}.')
        if self.batch_size is not None:
            cases = {name: replace(case, batch_size=self.batch_size)
                     for name, case in cases.items()}
        return {name: case for name, case in cases.items()
                if not self.configs or name in self.configs}


@dataclass
class Task:
    """A line of the report and how to fill it.

    Args:
        row: the line.
        run: called with the seconds that are meant for it and those after which it
            has to be stopped.
        skipped: why it is not run on this machine; empty: it is.
    """

    row: Row
    run: Callable[[float, float], Outcome]
    skipped: str = ''


@dataclass
class Plan:
    """Every task of a check."""

    tasks: list[Task] = field(default_factory=list)

    def add(self, step: str, name: str, run: Callable[[float, float], Outcome],
            skipped: str = '', **labels: Any) -> None:
        """Appends a task."""
        self.tasks.append(Task(Row(step, name, labels), run, skipped))


def run_check(settings: Settings, say: Callable[[str], Any] = print) -> Report:
    """Checks a GPU, or runs the same steps in miniature on the CPU.

    The report is written after each step, so that what was measured is there even if
    the check is ended from outside.

    Args:
        settings: what to do.
        say: called with each line of progress.

    Raises:
        NoGpu: there is none.
        ImportError: a package is missing that training needs.
        ValueError: an unknown config.
    """
    require_machine(settings.miniature)
    cases = settings.cases()
    settings.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='fdsr_gpu_check_') as folder:
        place = commands.Place(settings.root, Path(folder), settings.miniature)
        process = MeasuringProcess(place, settings.device)
        plan = make_plan(settings, cases, place, process)
        report = Report([task.row for task in plan.tasks], _protocol(settings))
        say(f'Note: {RANDOM_WEIGHTS}.')
        try:
            run_plan(plan, Budget(60 * settings.minutes, [
                _WEIGHTS[task.row.step] for task in plan.tasks]), report, settings, say)
        finally:
            process.close()
            report.write(settings.out)
            _keep_logs(place.folder, settings.out / 'logs')
    return report


def require_machine(miniature: bool) -> None:
    """Checks that what the measurements need is there.

    Raises:
        ImportError: a package is missing; the message says how to install it.
        NoGpu: no GPU was found; only the miniature works without one.
    """
    if importlib.util.find_spec('torch') is None:
        raise ImportError('torch is not installed: see https://pytorch.org.')
    import torch

    from fdsr.registry import require_training
    require_training()
    if not miniature and not torch.cuda.is_available():
        raise NoGpu('No GPU was found (torch.cuda.is_available() is False); '
                    '--miniature runs the same steps, tiny, on the CPU.')


def make_plan(settings: Settings, cases: dict[str, Case], place: commands.Place,
              process: MeasuringProcess) -> Plan:
    """Lists what is to be done, in order: what matters most comes first."""
    plan = Plan()
    plan.add('environment', 'environment', _Environment(process, settings))
    for step, name, run in (
            ('tests', 'tests marked gpu', commands.gpu_tests),
            ('resume', 'resumed run', commands.resume),
            ('processes', 'one process with torchrun', commands.distributed)):
        if step in settings.only:
            plan.add(step, name, _command(run, place))
    if 'training' in settings.only:
        for case in cases.values():
            for precision in PRECISIONS:
                _add_training(plan, settings, process, case, precision, 'eager')
    if 'inference' in settings.only:
        networks = inference_networks(
            settings.cases(), settings.root, settings.miniature)
        for case in networks.values():
            for precision in PRECISIONS:
                for batch_size in _BATCH_SIZES:
                    _add_inference(plan, settings, process, case, precision, batch_size)
    if 'compile' in settings.only:
        for precision in _COMPILE_ORDER:
            for case in reversed(cases.values()):
                _add_training(plan, settings, process, case, precision, MODES[1])
    return plan


def _command(run: Callable[..., Outcome],
             place: commands.Place) -> Callable[[float, float], Outcome]:
    # a share is for measurements that stop by themselves
    return lambda share, limit: run(place, limit)


def _no_fp16(settings: Settings, precision: str, kind: str) -> str:
    return NO_FP16[kind] if precision == 'fp16' and settings.miniature else ''


def _add_training(plan: Plan, settings: Settings, process: MeasuringProcess, case: Case,
                  precision: str, mode: str) -> None:
    request = dict(
        kind='training', case=case.to_dict(), precision=precision, mode=mode,
        steps=settings.steps, backend='eager' if settings.miniature else 'inductor')
    plan.add('compile' if mode == 'compile' else 'training', case.name,
             _Measurement(process, request), _no_fp16(settings, precision, 'training'),
             precision=precision, mode=mode)


def _add_inference(plan: Plan, settings: Settings, process: MeasuringProcess,
                   case: Case, precision: str, batch_size: int) -> None:
    request = dict(kind='inference', case=case.to_dict(), precision=precision,
                   batch_size=batch_size, repeats=settings.steps)
    plan.add('inference', case.name, _Measurement(process, request),
             _no_fp16(settings, precision, 'inference'), precision=precision,
             batch_size=batch_size)


@dataclass
class _Measurement:
    process: MeasuringProcess
    request: dict[str, Any]

    def __call__(self, seconds: float, limit: float) -> Outcome:
        values = self.process.ask({**self.request, 'seconds': seconds}, limit)
        if values['finite']:
            return Outcome(OK, values=values)
        bad = [name for name, value in values.get('losses', {}).items()
               if isinstance(value, str)]
        return Outcome(FAILED, f'not finite: {", ".join(bad) or "SR"}', values)


@dataclass
class _Environment:
    process: MeasuringProcess
    settings: Settings

    def __call__(self, seconds: float, limit: float) -> Outcome:
        facts = self.process.ask(dict(kind='environment'), limit)
        shown = ('gpu', 'cpu', 'driver', 'cuda', 'python', 'torch', 'mmengine', 'mmcv',
                 'mmcv-lite', 'mmagic')
        return Outcome(OK, ', '.join(
            f'{name} {facts[name]}' for name in shown if facts.get(name)), facts)


def run_plan(plan: Plan, budget: Budget, report: Report, settings: Settings,
             say: Callable[[str], Any]) -> None:
    """Runs the tasks of a plan and fills the report, whatever fails."""
    for number, task in enumerate(plan.tasks, 1):
        begin = budget.elapsed
        share = budget.next_share()
        task.row.outcome = _outcome(task, share, budget, settings)
        task.row.seconds = budget.elapsed - begin
        if task.row.step == 'environment':
            report.protocol['hardware'] = task.row.outcome.values
        report.write(settings.out)
        say(f'[{number}/{len(plan.tasks)}, {budget.elapsed:.0f} s, '
            f'{budget.remaining:.0f} s left] {task.row}: {_summary(task.row, report)}')
        if task.row.step == 'environment' and task.row.outcome.status == FAILED:
            for other in plan.tasks[number:]:
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
    except OutOfTime as error:
        # compiling takes as long as it takes, and says nothing about the GPU
        return Outcome(NOT_RUN if step == 'compile' else FAILED, str(error))
    except MeasuringError as error:
        return Outcome(FAILED, str(error))
    except Exception as error:  # whatever it is, the other steps go on
        return Outcome(FAILED, f'{type(error).__name__}: {error}')


def _summary(row: Row, report: Report) -> str:
    speed = row.outcome.values.get('images_per_second')
    if speed is None:
        return f'{row.outcome.status}, {row.outcome.detail}'.rstrip(', ')
    ratio = report.ratio(row)
    summary = f'{row.outcome.status}, {speed:.1f} images/s'
    return summary if ratio is None else f'{summary}, {ratio:.2f} of fp32'


def _protocol(settings: Settings) -> dict[str, Any]:
    compiled = {name: ', '.join(case.compiled)
                for name, case in settings.cases().items()}
    protocol = dict(
        command=settings.command or ' '.join(sys.argv), date=time.strftime('%Y-%m-%d'),
        weights=RANDOM_WEIGHTS,
        training=f'train_step of the restorer with its optim wrappers on one batch of '
                 f'drawn faces, data loading not included; at most {settings.steps} '
                 'timed steps after 3',
        inference='torch.inference_mode on random images, autocast inside the call, '
                  'median; memory beside the network and its input',
        memory='torch.cuda.max_memory_allocated, 10^9 bytes')
    if 'compile' in settings.only:
        protocol['compiled'] = compiled
        protocol['compile_time'] = ('the first 3 steps less 3 steps of the measured '
                                    'speed')
    if settings.miniature:
        protocol['miniature'] = (
            'toy networks at 32 px on the CPU, without the code generation of '
            'torch.compile: whether the steps run, no speed')
    return protocol


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for log in folder.glob('*.log'):
        (target / log.name).write_text(log.read_text(errors='replace'), 'utf-8')
