"""The command line that checks a GPU, in miniature on the CPU."""

import json
import math
import multiprocessing
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu_check import check, commands
from benchmarks.gpu_check.cases import (
    PRECISIONS,
    RANDOM_WEIGHTS,
    full_cases,
    inference_networks,
    miniature_cases,
)
from benchmarks.gpu_check.check import Budget, Task
from benchmarks.gpu_check.report import FAILED, NOT_RUN, OK, Outcome, Report, Row
from benchmarks.gpu_check.speed import config_of, modules_to_compile, with_precision
from benchmarks.gpu_check.worker import (
    MeasuringError,
    MeasuringProcess,
    OutOfTime,
    one_line,
)
from tests import warm
from tests.conftest import REPOSITORY as ROOT
from tests.in_process import call_tool

TOOL = ROOT / 'tools' / 'check_gpu.py'
NAMES = ('teacher', 'distill', 'student', 'rcan')


@pytest.fixture(scope='module')
def miniature(tmp_path_factory):
    """A whole check in miniature: what it printed, and the report."""
    folder = tmp_path_factory.mktemp('check')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'executable', warm.python())
        done = call_tool(TOOL, '--miniature', '--out', folder / 'out')
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return SimpleNamespace(
        printed=done.stdout, folder=folder / 'out',
        report=json.loads((folder / 'out' / 'check_gpu.json').read_text()))


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls the tool in this process; returns the exit status or message."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOL), run_name='__main__')
        return ended.value.code

    return run


def rows_of(miniature, *steps):
    rows = [row for row in miniature.report['rows'] if row['step'] in steps]
    assert rows
    return rows


# The whole check

@pytest.mark.slow
def test_every_step_has_its_row(miniature):
    found = [(row['step'], row['name'], *row['labels'].values())
             for row in miniature.report['rows']]
    modes = {'training': 'eager', 'compile': 'compile'}
    expected = {
        ('environment', 'environment'), ('tests', 'tests marked gpu'),
        ('resume', 'resumed run'), ('processes', 'one process with torchrun'),
        *((step, name, precision, mode) for step, mode in modes.items()
          for name in NAMES for precision in PRECISIONS),
        *(('inference', name, precision, size)
          for name in ('student', 'compact', 'rcan') for precision in PRECISIONS
          for size in (1, 8))}
    assert set(found) == expected and len(found) == len(expected)
    markdown = (miniature.folder / 'check_gpu.md').read_text()
    rows = [line for line in markdown.splitlines() if line.startswith('| ')]
    assert len(rows) == len(found) + 3  # three headers
    assert markdown.strip() in miniature.printed
    assert RANDOM_WEIGHTS in miniature.printed.splitlines()[0]


@pytest.mark.slow
def test_only_fp16_is_left_out_on_a_cpu(miniature):
    for row in miniature.report['rows']:
        if row['labels'].get('precision') == 'fp16':
            assert row['status'] == 'skipped' and 'GPU' in row['detail']
        elif row['step'] != 'tests':
            assert row['status'] == 'ok', row
    assert miniature.report['failed'] == []
    tests, = rows_of(miniature, 'tests')
    # this machine's GPU, if it has one, is hidden in miniature
    assert tests['values']['skipped'] > 0 and tests['values']['failed'] == 0


@pytest.mark.slow
def test_speeds_and_ratios_are_those_of_fp32_eager(miniature):
    for steps in (('training', 'compile'), ('inference',)):
        rows = rows_of(miniature, *steps)
        speeds = {(row['name'], *row['labels'].values()):
                  row['values'].get('images_per_second') for row in rows}
        for row in rows:
            speed = row['values'].get('images_per_second')
            last = 'eager' if 'mode' in row['labels'] else row['labels']['batch_size']
            if speed is None:
                assert row['ratio_to_fp32'] is None
            else:
                assert speed > 0 and row['ratio_to_fp32'] == pytest.approx(
                    speed / speeds[row['name'], 'fp32', last])


@pytest.mark.slow
def test_the_losses_are_the_restorers_own_and_finite(miniature):
    for row in rows_of(miniature, 'training', 'compile'):
        if row['status'] != 'ok':
            continue
        losses = row['values']['losses']
        assert row['values']['finite'] and all(map(math.isfinite, losses.values()))
        assert 'loss_pixel' in losses
        assert ('loss_d_adversarial' in losses) == (row['name'] == 'distill')
        assert (row['values'].get('graphs', 0) > 0) == (row['step'] == 'compile')
    eager, compiled = ({row['name']: row['values']['losses'] for row in rows_of(
        miniature, step) if row['labels']['precision'] == 'fp32'}
        for step in ('training', 'compile'))
    for name in NAMES:  # the same steps from the same start
        assert compiled[name] == pytest.approx(eager[name], rel=1e-3)


@pytest.mark.slow
def test_the_resumed_run_equals_the_uninterrupted_one(miniature):
    row, = rows_of(miniature, 'resume')
    assert row['values']['tensors'] > 100
    assert row['values']['different'] == row['values']['largest_difference'] == 0
    assert 'bit for bit' in row['detail']
    logs = {path.stem for path in (miniature.folder / 'logs').iterdir()}
    assert {'whole', 'first_half', 'second_half', 'torchrun', 'worker'} <= logs
    processes, = rows_of(miniature, 'processes')
    assert processes['values'] == dict(
        iterations=4, device='cpu', backend='gloo', processes=1)


# Failures

@pytest.mark.slow
def test_a_failed_measurement_is_a_row_and_the_others_go_on(call, capsys, monkeypatch):
    def cases(root):
        found = miniature_cases(root)
        options = {**found['student'].options, 'model.generator.layout': 'Z'}
        return {**found, 'student': replace(found['student'], options=options)}

    monkeypatch.setattr(check, 'miniature_cases', cases)
    assert call('--miniature', '--only', 'training', '--configs', 'student', 'rcan',
                '--out', 'out') == 1
    report = json.loads(Path('out/check_gpu.json').read_text())
    status = {(row['name'], row['labels'].get('precision')): row['status']
              for row in report['rows']}
    assert status == {
        ('environment', None): 'ok',
        ('student', 'fp32'): 'failed', ('student', 'bf16'): 'failed',
        ('student', 'fp16'): 'skipped', ('rcan', 'fp32'): 'ok', ('rcan', 'bf16'): 'ok',
        ('rcan', 'fp16'): 'skipped'}
    assert report['failed'] == ['training student fp32', 'training student bf16']
    printed = capsys.readouterr().out
    assert "failed: ValueError: Unknown layout 'Z'; expected one of A, B" in printed
    assert 'Failed: training student fp32; training student bf16.' in printed


def test_without_a_gpu_one_sentence_says_what_to_do(call, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    message = call('--out', 'out')
    assert message.startswith('check_gpu.py: No GPU was found')
    assert '--miniature' in message and not Path('out').exists()


def test_a_missing_package_is_named(call, monkeypatch):
    def missing():
        raise ImportError('mmagic is not installed: pip install "fdsr[train]".')

    monkeypatch.setattr('fdsr.registry.require_training', missing)
    with pytest.raises(ImportError, match=r'pip install "fdsr\[train\]"'):
        check.require_machine(miniature=True)


def run_tasks(steps, tmp_path, clock=lambda: 0.0, minutes=1.0):
    labels = dict(precision='fp32', mode='eager')
    tasks = [Task(Row(step, 'student', labels), run) for step, run in steps]
    report = Report([task.row for task in tasks], {})
    settings = check.Settings(ROOT, tmp_path, minutes)
    check.run_tasks(tasks, Budget(60 * minutes, [1.0] * len(tasks), clock), report,
                    settings, lambda text: None)
    return report


def raising(error):
    def run(share, limit):
        raise error
    return run


def test_whatever_fails_the_other_steps_go_on(tmp_path):
    late = OutOfTime('not finished within 9 s')
    report = run_tasks([
        ('training', raising(late)), ('compile', raising(late)),
        ('training', raising(ZeroDivisionError('by zero'))),
        ('training', lambda share, limit: Outcome(OK))], tmp_path)
    assert [row.outcome.status for row in report.rows] == [FAILED, NOT_RUN, FAILED, OK]
    assert report.rows[2].outcome.detail == 'ZeroDivisionError: by zero'
    assert '1 ok, 2 failed, 1 not run' in (tmp_path / 'check_gpu.md').read_text()


def test_nothing_is_begun_when_the_time_is_up(tmp_path):
    now, begun = [0.0], []

    def run(share, limit):
        begun.append((share, limit))
        now[0] += 40
        return Outcome(OK)

    report = run_tasks([('training', run)] * 3, tmp_path, lambda: now[0])
    # a third of 60 s, then half of what is left; never longer than that
    assert begun == [(20.0, 45.0), (10.0, 20.0)]
    assert report.rows[2].outcome.status == NOT_RUN
    assert 'no time left of 1 minutes' in report.rows[2].outcome.detail
    assert report.failed == []


def test_a_process_that_does_not_answer_is_stopped(tmp_path):
    process = MeasuringProcess(commands.Place(ROOT, tmp_path, True), 'cpu')
    with pytest.raises(OutOfTime, match='not finished within 0 s'):
        process.ask(dict(kind='environment'), 0.05)
    assert process._process is None


@pytest.fixture
def forked(monkeypatch):
    """The measuring process is forked, which spares the imports."""
    context = multiprocessing.get_context('fork')
    monkeypatch.setattr('multiprocessing.get_context', lambda method: context)


def test_a_process_that_ends_or_hangs_is_replaced(tmp_path, forked):
    place = commands.Place(ROOT, tmp_path, True)
    process = MeasuringProcess(place, 'cpu')
    try:
        with pytest.raises(MeasuringError, match="^KeyError: 'nothing'$"):
            process.ask(dict(kind='nothing', case=full_cases(ROOT)['rcan']), 300)
        first = process._process
        first.kill()
        with pytest.raises(MeasuringError, match='^the measuring process ended: '):
            process.ask(dict(kind='environment'), 300)
        assert not first.is_alive() and process._process is None
        assert process.ask(dict(kind='environment'), 300)['gpu'] is None
        assert process.log.is_file()
    finally:
        process.close()


def test_a_command_that_fails_or_hangs_is_named(tmp_path):
    place = commands.Place(ROOT, tmp_path, True)
    with pytest.raises(RuntimeError, match='^bad: ValueError: no good$'):
        commands.run_commands(
            place, {'bad': [sys.executable, '-c', 'raise ValueError("no good")']}, 60)
    with pytest.raises(RuntimeError, match='^slow: not finished within 0 s'):
        commands.run_commands(place, {'slow': ['sleep', '60']}, 0.1)


@pytest.mark.parametrize(('output', 'line'), [
    ('Traceback\nValueError: wrong\n  more\n=====\n', 'ValueError: wrong'),
    ('train.py: There is no config.\n', 'train.py: There is no config.'),
    ('a\nlast words\n\n', 'last words'), ('', 'no output')])
def test_a_failure_is_explained_by_a_line(output, line):
    assert commands.explanation(output) == line


def test_errors_of_torch_are_reported_without_its_advice():
    assert one_line(RuntimeError('CUDA error: bad\nFor debugging consider …')) == (
        'RuntimeError: CUDA error: bad')
    assert one_line(RuntimeError('backend raised:\nCppError: no g++\n\nSet …')) == (
        'RuntimeError: backend raised: CppError: no g++')
    assert one_line(ValueError()) == 'ValueError'


def test_modules_are_found_by_their_paths():
    def block():
        return torch.nn.ModuleDict(dict(a=torch.nn.ReLU(), b=torch.nn.Sequential(
            torch.nn.ReLU())))

    model = torch.nn.ModuleDict(dict(first=block(), second=block()))
    assert modules_to_compile(model, ('first.a', '*.b')) == [
        model['first']['a'], model['first']['b'], model['second']['b']]
    with pytest.raises(ValueError, match='has no module first.c to compile'):
        modules_to_compile(model, ('first.a', 'first.c'))


# What is compared and measured

def checkpoint(path, value):
    torch.save(dict(state_dict={'weight': torch.tensor([1.0, value])},
                    optimizer={'state': {0: {'step': torch.tensor(2.0)}}}), path)
    return path


@pytest.mark.parametrize(('value', 'operations', 'status', 'detail'), [
    (2.0, [], OK, '2 tensors equal, bit for bit'),
    (2.5, [], FAILED, '1 of 2 tensors differ, by 0.5 at most'),
    (2.5, ['max_pool'], OK, 'without a deterministic implementation: max_pool')])
def test_a_difference_needs_an_excuse(value, operations, status, detail, tmp_path):
    found = commands.compare(
        checkpoint(tmp_path / 'a.pth', 2.0), checkpoint(tmp_path / 'b.pth', value),
        'runs', operations)
    assert found.status == status and detail in found.detail
    assert found.values['largest_difference'] == value - 2


def test_what_is_not_measured_has_no_ratio():
    def row(precision, mode, speed=None):
        return Row('training', 'rcan', dict(precision=precision, mode=mode), Outcome(
            OK, values={} if speed is None else dict(images_per_second=speed)))

    rows = [row('fp32', 'eager', 4.0), row('bf16', 'compile', 6.0),
            row('fp16', 'eager')]
    report = Report(rows, {})
    assert [report.ratio(one) for one in rows] == [1.0, 1.5, None]
    assert Report(rows[1:], {}).ratio(rows[1]) is None


@pytest.mark.parametrize('name', ['teacher', 'distill', 'student', 'rcan', 'compact'])
def test_the_full_size_configs_need_no_files(name, tmp_path):
    cases = full_cases(ROOT)
    case = {**cases, **inference_networks(cases, ROOT, False)}[name]
    config = config_of(replace(case, teacher=None), tmp_path)
    model = config.model.to_dict()
    network = model.get('student') or model['generator']
    assert network.get('encoder', {}).get('pretrained') is None
    assert 'file' not in network.get('dictionary', {})
    assert config.train_dataloader.dataset.size == 256
    if name != 'compact':
        assert (model.get('perceptual_loss') or {}).get('pretrained') is None


def test_nothing_that_is_compiled_has_a_tap_inside(tmp_path):
    case = full_cases(ROOT)['distill']
    model = config_of(replace(case, teacher=None), tmp_path).model
    for loss in model.feature_losses:
        for network in ('teacher', 'student'):
            tapped = f'{network}.{loss[network].partition(":")[0]}'
            for pattern in case.compiled:
                assert not f'{tapped}.'.startswith(pattern.replace('.*', '') + '.')


@pytest.mark.parametrize(('precision', 'kind'), [
    ('fp32', 'OptimWrapper'), ('bf16', 'fdsr.AutocastOptimWrapper'),
    ('fp16', 'AmpOptimWrapper')])
def test_each_optimizer_gets_the_precision(precision, kind):
    adam = dict(type='OptimWrapper', optimizer=dict(type='Adam'), clip_grad=dict(a=1))
    assert with_precision(adam, precision)['type'] == kind
    groups = with_precision(dict(
        constructor='fdsr.GroupOptimWrapperConstructor', a=adam, b=adam), precision)
    assert groups['a']['type'] == groups['b']['type'] == kind
    assert groups['a']['clip_grad'] == dict(a=1)
    assert groups['constructor'] == 'fdsr.GroupOptimWrapperConstructor'


def test_the_command_line_knows_every_step_and_config():
    names = runpy.run_path(str(TOOL), run_name='names')
    assert names['STEPS'] == check.STEPS
    assert set(names['CONFIGS']) == set(full_cases(ROOT)) == set(miniature_cases(ROOT))
    assert set(check._WEIGHTS) == set(check._LEAST) == {'environment', *check.STEPS}
