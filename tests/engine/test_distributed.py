"""Two processes do what one does with twice the batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fdsr.apis import load_backbone
from fdsr.evaluation.testing import run_test
from fdsr.models.files.checkpoints import read_checkpoint
from tests import toy, warm
from tests.engine import distributed_runs

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
RUNS = list(distributed_runs.RUNS)


def environment():
    """On the CPU, at a free port, with the warm Python before others."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    return {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1',
            'MASTER_PORT': str(port), 'PYTHONPATH': str(ROOT),
            'PYTHON_EXEC': warm.python(),  # torchrun starts its workers with it
            'PATH': f'{Path(warm.python()).parent}:{os.environ["PATH"]}'}


def call(*arguments, cwd, **variables):
    done = subprocess.run([str(argument) for argument in arguments], text=True, cwd=cwd,
                          env={**environment(), **variables}, capture_output=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return done


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    """What ``distributed_runs`` writes."""
    folder = tmp_path_factory.mktemp('runs')
    warm.run_ranks('-m', 'tests.engine.distributed_runs', folder)
    return folder


def results(out, name, rank=0):
    return torch.load(out / f'{name}_{rank}.pth', weights_only=True)


def distance(one, other):
    return max(float((value.double() - other[key].double()).abs().max())
               for key, value in one.items() if value.numel())


@pytest.mark.parametrize('name', RUNS)
def test_two_processes_train_as_one_with_twice_the_batch(out, name):
    found = results(out, name)
    alone, together = found['alone'], found['together']
    assert alone['after'].keys() == together['after'].keys()
    assert distance(alone['before'], together['before']) == 0
    for key, value in alone['after'].items():
        torch.testing.assert_close(
            together['after'][key], value, rtol=0, atol=1e-5, msg=lambda text, key=key:
            f'{key}: {text}')


@pytest.mark.parametrize('name', RUNS)
def test_both_processes_have_the_same_weights(out, name):
    first, second = (results(out, name, rank)['together']['after'] for rank in (0, 1))
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


@pytest.mark.parametrize('name', RUNS)
def test_the_runs_would_show_a_wrong_gradient(out, name):
    found = results(out, name)
    groups = {'teacher': ['generator'], 'distillation': ['student', 'discriminator'],
              'connected': ['student', 'discriminator', 'connectors']}[name]
    for group in groups:
        half, whole = (
            {key: value for key, value in found[which]['after'].items()
             if key.startswith(f'{group}.') and not key.endswith(('_u', '_v'))}
            for which in ('half', 'alone'))
        assert distance(half, whole) > 1e-4, group


def test_the_power_iterations_of_spectral_norm_move_alike(out):
    found = results(out, 'distillation')
    vectors = [key for key in found['alone']['after'] if key.startswith('student.')
               and key.endswith('.0._u')]
    assert vectors
    for key in vectors:
        alone, together = found['alone']['after'][key], found['together']['after'][key]
        torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
        assert not torch.equal(alone, found['alone']['before'][key])


@pytest.mark.parametrize('name', RUNS)
def test_checkpoints_of_both_kinds_hold_the_same(out, name):
    (facts, values), (alone_facts, alone) = (
        read_checkpoint(out / name / which / 'iter_2.pth')
        for which in ('together', 'alone'))
    # the values differ by rounding
    hashes, alone_hashes = (each.pop('weights_sha256') for each in (facts, alone_facts))
    assert hashes.keys() == alone_hashes.keys()
    assert facts == alone_facts
    assert values.keys() == alone.keys()
    assert not [key for key in values if 'module.' in key]
    assert distance(values, alone) < 1e-5


def test_a_backbone_comes_out_of_a_distributed_run(out):
    network = load_backbone(out / 'connected' / 'together' / 'iter_2.pth')
    after = results(out, 'connected')['together']['after']
    for key, value in network.state_dict().items():
        assert torch.equal(value, after[f'student.{key}']), key


@pytest.mark.parametrize('name', RUNS)
def test_a_distributed_run_is_resumed_by_one_process(out, name, tmp_path):
    def go_on(which):
        config = distributed_runs.RUNS[name](tmp_path / which, out, 4)
        config.merge_from_dict({
            'resume': True, 'load_from': str(out / name / which / 'iter_2.pth'),
            'train_cfg.max_iters': 3})
        runner = toy.train(config)
        assert runner.iter == 3 and runner.train_loop.consumed == 12
        return runner.model.state_dict()

    assert distance(go_on('together'), go_on('alone')) < 5e-5


def test_two_processes_test_as_one(out, tmp_path):
    config = distributed_runs.connected(tmp_path, out, 2)
    config.model.test_cfg = dict(report=['bicubic', 'student', 'teacher'])
    run_test(config, str(out / 'connected' / 'together' / 'iter_2.pth'))
    assert_same_metrics(tmp_path, out / 'test')


def assert_same_metrics(one, other):
    metrics, others = (json.loads((folder / 'metrics.json').read_text())
                       for folder in (one, other))
    assert metrics['num_images'] == others['num_images'] == 3
    assert metrics['skipped'] == others['skipped'] == 0
    assert metrics['models'].keys() == others['models'].keys()
    for model, values in metrics['models'].items():
        assert values == pytest.approx(others['models'][model], abs=1e-6)
    assert metrics['protocol']['dataset'] == others['protocol']['dataset']
    assert (one / 'metrics.csv').read_text() == (other / 'metrics.csv').read_text()


def toy_run(folder):
    """Writes the config of a run that ends in a folder; returns its path."""
    config = toy.restorer_config(folder, **distributed_runs.TWO_STEPS)
    config.pop('experiment_name')
    path = folder.with_suffix('.py')
    config.dump(path)
    return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of two processes by the script, in real interpreters; its checkpoint."""
    folder = tmp_path_factory.mktemp('script')
    call(ROOT / 'tools' / 'dist_train.sh', toy_run(folder / 'two'), 2, cwd=folder,
         PYTHON_EXEC=sys.executable,
         PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    return folder / 'two' / 'iter_2.pth'


def test_the_scripts_train_and_test(trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    assert content['fdsr_resume']['consumed'] == 2 * 2 * 2
    path = toy_run(tmp_path / 'two')
    done = call(ROOT / 'tools' / 'dist_test.sh', path, trained, 2, '--work-dir',
                tmp_path / 'tested', cwd=tmp_path)
    assert done.stdout.count('| generator |') == 1, 'each process prints the table'
    config = Config.fromfile(path)
    config.work_dir = str(tmp_path / 'alone')
    config.experiment_name = 'alone'
    run_test(config, str(trained))
    assert_same_metrics(tmp_path / 'tested', tmp_path / 'alone')


def test_two_machines_train_as_two_processes_of_one(trained, tmp_path):
    """Two launchers with a process each, which know each other by address alone."""
    nodes = {**environment(), 'NNODES': '2', 'MASTER_ADDR': '127.0.0.1'}
    command = [str(ROOT / 'tools' / 'dist_train.sh'), toy_run(tmp_path / 'apart').name,
               '1']
    machines = [subprocess.Popen(
        command, cwd=tmp_path, env={**nodes, 'NODE_RANK': str(rank)}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for rank in range(2)]
    for machine in machines:
        said = machine.communicate(timeout=300)[1]
        assert machine.returncode == 0, said[-5000:]
    one, apart = (torch.load(path, weights_only=True)
                  for path in (trained, tmp_path / 'apart' / 'iter_2.pth'))
    assert apart['fdsr_resume']['consumed'] == one['fdsr_resume']['consumed'] == 8
    assert distance(one['state_dict'], apart['state_dict']) < 5e-5
