"""The demo: output, skipped steps, failures, and a quick run."""

import importlib.util
import json
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tests import warm
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / 'demo' / 'run_demo.py'


@pytest.fixture(scope='module')
def demo():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location('run_demo', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules['run_demo'] = module  # its dataclass looks there
    spec.loader.exec_module(module)
    yield module
    del sys.modules['run_demo']


def call(*arguments, python=sys.executable):
    return subprocess.run([python, SCRIPT, *map(str, arguments)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def step_of(demo, tmp_path, code, name='1_step'):
    """A step that runs Python code, which should write a file."""
    product = tmp_path / f'{name}.txt'
    return demo.Step(name, f'Do {name}', lambda: ['-c', code, str(product)], product)


WRITE = 'import sys; open(sys.argv[1], "a").write("once "); print("wrote")'


def test_help_is_instant():
    # CPU time does not depend on other load
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = call('--help')
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1
    assert done.returncode == 0 and '--fresh' in done.stdout


def test_a_finished_step_is_skipped(demo, tmp_path, capsys):
    step = step_of(demo, tmp_path, WRITE)
    demo.Demo(tmp_path).run(step)
    again = demo.Demo(tmp_path)
    again.run(step)
    assert step.product.read_text() == 'once '
    assert 'already done' in capsys.readouterr().out
    assert again.seconds['1_step'] > 0
    assert again.log_of(step).read_text() == 'wrote\n'


def test_a_changed_step_and_all_later_ones_run_again(demo, tmp_path):
    first, second = (step_of(demo, tmp_path, WRITE, name) for name in 'ab')
    for _ in range(2):
        run = demo.Demo(tmp_path)
        run.run(first)
        run.run(second)
    other = step_of(demo, tmp_path, WRITE + ';', 'a')
    run = demo.Demo(tmp_path)
    run.run(other)
    run.run(second)
    assert second.product.read_text() == 'once once '


def test_a_missing_product_is_written_again(demo, tmp_path):
    step = step_of(demo, tmp_path, WRITE)
    demo.Demo(tmp_path).run(step)
    step.product.unlink()
    demo.Demo(tmp_path).run(step)
    assert step.product.is_file()


@pytest.mark.parametrize('code, what', [
    ('print("\\n".join(map(str, range(99)))); raise SystemExit(3)', 'exit status 3'),
    ('print("\\n".join(map(str, range(99))))', 'did not write'),
])
def test_a_failure_shows_the_end_of_the_log(demo, tmp_path, code, what):
    step = step_of(demo, tmp_path, code)
    run = demo.Demo(tmp_path)
    with pytest.raises(demo.DemoError) as caught:
        run.run(step)
    message = str(caught.value)
    assert what in message and str(run.log_of(step)) in message
    assert '  | 98' in message and '  | 50\n' not in message
    assert not json.loads((tmp_path / 'steps.json').read_text()
                          if (tmp_path / 'steps.json').exists() else '{}')


@pytest.mark.slow
def test_a_failing_tool_stops_the_demo(tmp_path):
    # a folder has the name of the dictionary file
    (tmp_path / 'dictionary.safetensors').mkdir()
    done = call('--quick', '--out', tmp_path)
    assert done.returncode == 1
    assert 'expected a file, found a folder' in done.stdout
    assert '2_teacher' not in done.stdout and 'Train the teacher' not in done.stdout


def test_fresh_removes_no_other_folder(tmp_path):
    (tmp_path / 'thesis.txt').write_text('precious')
    done = call('--fresh', '--out', tmp_path)
    assert done.returncode == 1 and 'was not removed' in done.stdout
    assert (tmp_path / 'thesis.txt').is_file()


@pytest.mark.parametrize('line, found', [
    ('11/24 - mmengine - INFO - Iter(train) [ 10/200]  lr: 1.0e-03  eta: 1:01:04  '
     'time: 19.2  data_time: 0.3  loss: 215.0155  loss_pixel: 18.5', '10 of 200, loss '
     '215.0155'),
    ('Iter(test) [4/8]    eta: 0:00:04', '4 of 8'),
    ('encode:  50%|█████     | 128/256 [00:03<00:03, 41.2face/s]', '128 of 256'),
    ('Loads 3/4 of it', None),
])
def test_progress_is_read_from_the_tools(demo, capsys, monkeypatch, line, found):
    monkeypatch.setattr(demo, '_SECONDS_BETWEEN_LINES', 0)
    demo.Progress()(line)
    assert capsys.readouterr().out.strip() == (found or '')


@pytest.mark.parametrize('name', ['teacher', 'student', 'distill'])
def test_configs_test_other_people_than_they_train_on(name):
    path = REPOSITORY / 'configs' / 'demo' / f'{name}.py'
    assert len(path.read_text().splitlines()) <= 60
    config = Config.fromfile(path)
    train, test = (config[f'{part}_dataloader'].dataset for part in ('train', 'test'))
    assert test.first >= train.get('first', 0) + train.length
    assert test.test_mode and not any('Flip' in step.type for step in test.pipeline)


@pytest.mark.slow
def test_a_quick_run_ends_with_table_and_grid(tmp_path):
    done = call('--quick', '--out', tmp_path, python=warm.python())
    assert done.returncode == 0, done.stdout
    for word in ('bicubic', 'student', 'teacher'):
        assert re.search(rf'^\| {word} \|( +[\d.]+ \|){{3}}$', done.stdout, re.M), word
    assert '- images: 3, skipped: 0' in done.stdout and 'resize kernel' in done.stdout
    for name in ('grid.png', 'metrics.json', 'metrics.csv'):
        assert str(tmp_path / name) in done.stdout and (tmp_path / name).is_file()
    _check_grid(np.asarray(Image.open(tmp_path / 'grid.png')).astype(float))

    again = call('--quick', '--out', tmp_path, python=warm.python())
    assert again.returncode == 0 and again.stdout.count('already done') == 4
    assert done.stdout.partition('| Model |')[2] == again.stdout.partition(
        '| Model |')[2]


def _check_grid(grid, side=3 * 64):
    """Three rows of five columns: LR and bicubic look like HR, channel by channel."""
    assert grid.shape == (20 + 3 * (side + 2) - 2, 5 * (side + 2) - 2, 3)
    for row in range(3):
        top = 20 + (side + 2) * row
        lr, bicubic, _, _, hr = (
            grid[top:top + side, left:left + side]
            for left in range(0, 5 * (side + 2), side + 2))
        assert abs(lr.mean((0, 1)) - hr.mean((0, 1))).max() < 3
        assert abs(bicubic.mean((0, 1)) - hr.mean((0, 1))).max() < 3
        pixel = side // 8
        blocks = lr[::pixel, ::pixel].repeat(pixel, 0).repeat(pixel, 1)
        assert np.array_equal(lr, blocks), 'LR is not shown pixel by pixel'
        assert not np.array_equal(bicubic, hr)
