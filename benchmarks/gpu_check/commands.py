"""The steps that run commands: the tests, a resumed run, a distributed one."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.report import FAILED, OK, SKIPPED, Outcome

NONDETERMINISTIC = re.compile(r'(\S+) does not have a deterministic implementation')
_LAST_ERROR = re.compile(r'^(\w+\.)*\w*(Error|Exception|Exit)\b.*|^\w+\.py: .*')


@dataclass(frozen=True)
class Place:
    """Settings for running commands.

    Args:
        root: the repository.
        folder: for configs, checkpoints and logs.
        miniature: hide the GPU, and train toys.
    """

    root: Path
    folder: Path
    miniature: bool

    def environment(self) -> dict[str, str]:
        """Returns the variables of a command."""
        path = os.pathsep.join(
            filter(None, [str(self.root), os.environ.get('PYTHONPATH')]))
        variables = {
            **os.environ, 'PYTHONPATH': path,
            # without it cuBLAS has no deterministic products
            'CUBLAS_WORKSPACE_CONFIG': ':4096:8'}
        if self.miniature:
            variables.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
        return variables


def run_commands(place: Place, commands: dict[str, list[str]],
                 seconds: float) -> dict[str, str]:
    """Runs commands side by side.

    Args:
        place: where.
        commands: by the name that their log files have.
        seconds: after which those still running are stopped.

    Returns:
        What each printed.

    Raises:
        RuntimeError: one failed, or did not end in time; the message names it and
            the line that says why.
    """
    end = time.monotonic() + seconds
    logs = {name: place.folder / f'{name}.log' for name in commands}
    processes = {}
    try:
        for name, command in commands.items():
            with open(logs[name], 'w') as log:
                processes[name] = subprocess.Popen(
                    command, cwd=place.root, env=place.environment(), stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True)
        for name, process in processes.items():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise RuntimeError(
                    f'{name}: not finished within {seconds:.0f} s') from None
            if process.returncode:
                raise RuntimeError(f'{name}: {explanation(logs[name].read_text())}')
    finally:
        for process in processes.values():
            stop(process)
    return {name: log.read_text() for name, log in logs.items()}


def stop(process: subprocess.Popen) -> None:
    """Ends a process that leads a session, and everything that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def explanation(output: str) -> str:
    """Returns the line of an output that says why a command failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _LAST_ERROR.match(line)]
    return (errors or lines or ['no output'])[-1][:300]


def gpu_tests(place: Place, seconds: float) -> Outcome:
    """Runs the tests that are marked ``gpu``."""
    if importlib.util.find_spec('pytest') is None:
        return Outcome(SKIPPED, 'pytest is not installed: pip install pytest')
    files = sorted(str(path.relative_to(place.root))
                   for path in (place.root / 'tests').rglob('test_*.py')
                   if re.search(r'^@pytest\.mark\.gpu', path.read_text('utf-8'), re.M))
    if not files:
        return Outcome(SKIPPED, f'no tests marked gpu below {place.root / "tests"}')
    results = place.folder / 'tests.xml'
    # addopts of pyproject.toml is strict: pytest-timeout's options would be an error
    # where that plugin is missing
    command = [
        sys.executable, '-m', 'pytest', '-m', 'gpu', '-q', '-o', 'addopts=',
        '-p', 'no:cacheprovider', f'--junitxml={results}', *files]
    try:
        run_commands(place, {'tests': command}, seconds)
        error = None
    except RuntimeError as raised:
        error = raised
    if not results.is_file():
        raise error or RuntimeError('pytest wrote no results')
    return _tests_outcome(results)


def _tests_outcome(results: Path) -> Outcome:
    suite = ElementTree.parse(results).getroot().find('testsuite')
    count = {name: int(suite.get(name, 0))
             for name in ('tests', 'failures', 'errors', 'skipped')}
    failed = count['failures'] + count['errors']
    passed = count['tests'] - failed - count['skipped']
    detail = f'{passed} passed, {failed} failed, {count["skipped"]} skipped'
    for case in suite.iter('testcase'):
        if case.find('failure') is not None or case.find('error') is not None:
            detail += f'; {case.get("classname")}.{case.get("name")}'
    values = dict(passed=passed, failed=failed, skipped=count['skipped'])
    status = FAILED if failed else OK if passed else SKIPPED
    return Outcome(status, detail, values)


def write_run_config(place: Place, name: str, iterations: int) -> Path:
    """Writes a config that trains the demo's student without data or weights.

    Args:
        place: where.
        name: of the file and of what the run records.
        iterations: a checkpoint is written after half of them, and at the end.
    """
    from fdsr.engine.config import load_config
    config = load_config(
        place.root / 'configs' / 'demo' / 'student.py', work_dir=str(place.folder),
        cfg_options={
            'model.generator.encoder.pretrained': None,
            'model.perceptual_loss.pretrained': None,
            'train_cfg.max_iters': iterations,
            'default_hooks.checkpoint.interval': max(1, iterations // 2),
            'default_hooks.checkpoint.max_keep_ckpts': 2,
            'param_scheduler.begin': iterations // 4, 'param_scheduler.end': iterations,
            **(_toy() if place.miniature else {})})
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator', 'test_cfg',
                'test_dataloader', 'test_evaluator'):
        config[key] = None
    config.custom_imports = dict(imports=['benchmarks.gpu_check.hook'])
    config.custom_hooks = [dict(
        type='fdsr.GpuCheckHook', path=str(place.folder / f'{name}.json'))]
    config.pop('work_dir')
    path = place.folder / f'{name}.py'
    config.dump(path)
    return path


def _toy() -> dict[str, Any]:
    return {
        'model.generator.encoder': dict(
            _delete_=True, type='fdsr.TinyEncoder', frozen=True),
        'model.perceptual_loss': None, 'train_dataloader.batch_size': 2,
        'train_dataloader.dataset.size': 32,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_dataloader.dataset.length': 16}


def resume(place: Place, seconds: float) -> Outcome:
    """Compares a run with one that was interrupted halfway and resumed."""
    iterations = 8 if place.miniature else 40
    config = write_run_config(place, 'resume', iterations)
    train = [sys.executable, str(place.root / 'tools' / 'train.py'), str(config),
             '--work-dir']
    whole, halves = place.folder / 'whole', place.folder / 'halves'
    begin = time.monotonic()
    output = run_commands(place, {
        'whole': [*train, str(whole)],
        'first_half': [*train, str(halves), '--cfg-options',
                       f'train_cfg.max_iters={iterations // 2}']}, seconds)
    output.update(run_commands(place, {
        'second_half': [*train, str(halves), '--resume']},
        seconds - (time.monotonic() - begin)))
    names = NONDETERMINISTIC.findall(''.join(output.values()))
    return compare(whole / f'iter_{iterations}.pth', halves / f'iter_{iterations}.pth',
                   f'{iterations // 2} + {iterations // 2} iterations against '
                   f'{iterations}', sorted(set(names)))


def compare(whole: Path, halves: Path, what: str,
            nondeterministic: list[str]) -> Outcome:
    """Compares two checkpoints: weights and the optimiser's state.

    Args:
        whole: of the uninterrupted run.
        halves: of the resumed one.
        what: was compared, for the outcome.
        nondeterministic: operations of the runs that may give other values each time;
            without one, the files have to be equal.
    """
    import torch

    from fdsr.weights import safe_load
    ours, theirs = (
        {name: value for name, value in _tensors(safe_load(path))
         if name.startswith(('.state_dict', '.optimizer'))}
        for path in (whole, halves))
    if ours.keys() != theirs.keys():
        return Outcome(FAILED, f'{what}: the checkpoints hold different values')
    different = [name for name, value in ours.items()
                 if not torch.equal(value, theirs[name])]
    largest = max([float((ours[name].double() - theirs[name].double()).abs().max())
                   for name in different], default=0.0)
    values = dict(tensors=len(ours), different=len(different),
                  largest_difference=largest, nondeterministic=nondeterministic)
    if not different:
        return Outcome(OK, f'{what}: {len(ours)} tensors equal, bit for bit', values)
    detail = (f'{what}: {len(different)} of {len(ours)} tensors differ, by '
              f'{largest:.2g} at most')
    if nondeterministic:
        return Outcome(OK, f'{detail}; without a deterministic implementation: '
                       f'{", ".join(nondeterministic)}', values)
    return Outcome(FAILED, detail, values)


def _tensors(value: Any, path: str = '') -> Any:
    import torch
    if isinstance(value, torch.Tensor):
        yield path, value.cpu()
    elif isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _tensors(item, f'{path}.{key}')


def distributed(place: Place, seconds: float, iterations: int = 4) -> Outcome:
    """Trains with torchrun in one process, over NCCL on a GPU."""
    from mmengine.fileio import load
    config = write_run_config(place, 'distributed', iterations)
    run_commands(place, {'torchrun': [
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        '--nproc_per_node=1', str(place.root / 'tools' / 'train.py'), str(config),
        '--launcher', 'pytorch', '--work-dir', str(place.folder / 'distributed')]},
        seconds)
    facts = load(place.folder / 'distributed.json')
    expected = dict(iterations=iterations, processes=1, **(
        dict(backend='gloo', device='cpu') if place.miniature else
        dict(backend='nccl', device='cuda')))
    detail = ', '.join(f'{name} {facts[name]}' for name in expected)
    if facts != expected:
        wanted = ', '.join(f'{name} {value}' for name, value in expected.items())
        return Outcome(FAILED, f'expected {wanted}; found {detail}', facts)
    return Outcome(OK, detail, facts)
