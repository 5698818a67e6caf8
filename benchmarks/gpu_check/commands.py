"""The steps that run commands: tests, a resumed run and a distributed run."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.report import FAILED, OK, SKIPPED, Outcome

NONDETERMINISTIC = re.compile(r'(\S+) does not have a deterministic implementation')
_LAST_ERROR = re.compile(r'^(\w+\.)*\w*(Error|Exception|Exit)\b.*|^\w+\.py: .*')
_TOY = {
    'model.generator.encoder': dict(
        _delete_=True, type='fdsr.TinyEncoder', frozen=True),
    'model.perceptual_loss': None, 'train_dataloader.batch_size': 2,
    'train_dataloader.dataset.size': 32, 'train_dataloader.dataset.length': 16,
    'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}


@dataclass(frozen=True)
class Place:
    """Repository and output folder of the commands."""

    root: Path  #: the repository
    folder: Path  #: for configs, checkpoints and logs
    miniature: bool  #: hide the GPU and train toy networks

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of a command."""
        path = filter(None, [str(self.root), os.environ.get('PYTHONPATH')])
        variables = {**os.environ, 'PYTHONPATH': os.pathsep.join(path),
                     # makes the matrix products of cuBLAS deterministic
                     'CUBLAS_WORKSPACE_CONFIG': ':4096:8'}
        if self.miniature:
            variables.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
        return variables


def run_commands(place: Place, commands: dict[str, list[str]],
                 seconds: float) -> dict[str, str]:
    """Runs commands in parallel and returns their output, {name: output}.

    Raises:
        RuntimeError: a command failed or did not end in time. The message names it
            and the line that explains the failure.
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
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return {name: log.read_text() for name, log in logs.items()}


def explanation(output: str) -> str:
    """Returns the line of an output that explains why a command failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _LAST_ERROR.match(line)]
    return (errors or lines or ['no output'])[-1][:300]


def gpu_tests(place: Place, seconds: float) -> Outcome:
    """Runs the tests that are marked ``gpu``."""
    if importlib.util.find_spec('pytest') is None:
        return Outcome(SKIPPED, 'pytest is not installed: pip install pytest')
    files = sorted(str(path) for path in (place.root / 'tests').rglob('test_*.py')
                   if re.search(r'^@pytest\.mark\.gpu', path.read_text('utf-8'), re.M))
    if not files:
        return Outcome(SKIPPED, f'no tests marked gpu below {place.root / "tests"}')
    results = place.folder / 'tests.xml'
    # addopts of pyproject.toml would fail where a pytest plugin is missing
    command = [
        sys.executable, '-m', 'pytest', '-m', 'gpu', '-q', '-o', 'addopts=',
        '-p', 'no:cacheprovider', f'--junitxml={results}', *files]
    try:
        run_commands(place, {'tests': command}, seconds)
    except RuntimeError:
        if not results.is_file():
            raise
    suite = ElementTree.parse(results).getroot().find('testsuite')
    count, failures, errors, skipped = (
        int(suite.get(name, 0)) for name in ('tests', 'failures', 'errors', 'skipped'))
    failed = failures + errors
    passed = count - failed - skipped
    detail = '; '.join([f'{passed} passed, {failed} failed, {skipped} skipped', *(
        f'{case.get("classname")}.{case.get("name")}' for case in suite.iter('testcase')
        if case.find('failure') is not None or case.find('error') is not None)])
    return Outcome(FAILED if failed else OK if passed else SKIPPED, detail,
                   dict(passed=passed, failed=failed, skipped=skipped))


def write_run_config(place: Place, name: str, iterations: int) -> Path:
    """Writes a config that trains the demo's student without data or weights.

    A checkpoint is written after half of the iterations and at the end.
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
            **(_TOY if place.miniature else {})})
    for stage in ('val', 'test'):
        for kind in ('cfg', 'dataloader', 'evaluator'):
            config[f'{stage}_{kind}'] = None
    config.custom_imports = dict(imports=['benchmarks.gpu_check.hook'])
    config.custom_hooks = [dict(
        type='fdsr.GpuCheckHook', path=str(place.folder / f'{name}.json'))]
    config.pop('work_dir')
    path = place.folder / f'{name}.py'
    config.dump(path)
    return path


def resume(place: Place, seconds: float) -> Outcome:
    """Compares a run with one that was interrupted halfway and resumed."""
    half = 4 if place.miniature else 20
    config = write_run_config(place, 'resume', 2 * half)
    train = [sys.executable, 'tools/train.py', str(config), '--work-dir']
    whole, halves = place.folder / 'whole', place.folder / 'halves'
    begin = time.monotonic()
    output = run_commands(place, {
        'whole': [*train, str(whole)],
        'first_half': [*train, str(halves), '--cfg-options',
                       f'train_cfg.max_iters={half}']}, seconds)
    output |= run_commands(place, {'second_half': [*train, str(halves), '--resume']},
                           seconds - (time.monotonic() - begin))
    names = NONDETERMINISTIC.findall(''.join(output.values()))
    return compare(*(folder / f'iter_{2 * half}.pth' for folder in (whole, halves)),
                   f'{half} + {half} iterations against {2 * half}', sorted(set(names)))


def compare(whole: Path, halves: Path, title: str,
            nondeterministic: list[str]) -> Outcome:
    """Compares the weights and the optimizer states of two checkpoints.

    They must be equal, unless the runs used ``nondeterministic`` operations.
    """
    from fdsr.weights import safe_load
    first, second = (
        {name: value for name, value in _tensors(safe_load(path))
         if name.startswith(('.state_dict', '.optimizer'))} for path in (whole, halves))
    if first.keys() != second.keys():
        return Outcome(FAILED, f'{title}: the checkpoints hold different values')
    differences = [float((value.double() - second[name].double()).abs().max())
                   for name, value in first.items() if not value.equal(second[name])]
    values = dict(tensors=len(first), different=len(differences),
                  largest_difference=max(differences, default=0.0),
                  nondeterministic=nondeterministic)
    if not differences:
        return Outcome(OK, f'{title}: {len(first)} tensors equal, bit for bit', values)
    detail = (f'{title}: {len(differences)} of {len(first)} tensors differ, by '
              f'{max(differences):.2g} at most')
    if nondeterministic:
        detail += ('; without a deterministic implementation: '
                   + ', '.join(nondeterministic))
    return Outcome(OK if nondeterministic else FAILED, detail, values)


def _tensors(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    if hasattr(value, 'cpu'):
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
        '--nproc_per_node=1', 'tools/train.py', str(config), '--launcher', 'pytorch',
        '--work-dir', str(place.folder / 'distributed')]}, seconds)
    facts = load(place.folder / 'distributed.json')
    expected = dict(iterations=iterations, processes=1, **(
        dict(backend='gloo', device='cpu') if place.miniature else
        dict(backend='nccl', device='cuda')))
    found, required = (', '.join(f'{name} {values[name]}' for name in expected)
                       for values in (facts, expected))
    if facts != expected:
        return Outcome(FAILED, f'expected {required}; found {found}', facts)
    return Outcome(OK, found, facts)
