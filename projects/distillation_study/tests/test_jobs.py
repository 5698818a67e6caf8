"""A study of toys: what is to be done, doing it, and going on where it stopped."""

import multiprocessing
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from projects.distillation_study.study.jobs import Study, curve_of
from projects.distillation_study.study.plan import in_order, read_plan
from projects.distillation_study.study.results import read_results
from tests import toy

RUN = Path(__file__).resolve().parents[1] / 'run.py'


@pytest.mark.slow
def test_the_whole_study(finished, plan_path, tmp_path):
    study = finished.copy_to(tmp_path)
    plan = study.plan
    assert [(arm.name, seed) for arm, seed in in_order(plan)] == [
        ('alone', 0), ('distilled', 0), ('warm', 0), ('bicubic', 0), ('alone', 1),
        ('teacher', 0)]
    assert finished.first_pending == ['features', 'dictionary', 'train:bicubic:0']
    assert finished.done == [
        'features', 'train:alone:0', 'dictionary', 'train:teacher:0',
        'teacher_features:teacher', 'train:distilled:0', 'train:warm:0',
        'train:bicubic:0', 'train:alone:1']
    results = read_results(plan.results)
    assert set(results.arms) == {
        'teacher', 'alone', 'distilled', 'warm', 'bicubic'}
    assert results.seeds('alone') == (0, 1)
    curve = (tmp_path / 'results/distilled-s0-curve.csv').read_text().splitlines()
    assert 'd_accuracy_adversarial' in curve[0] and 'val/PSNR' in curve[0]
    # with its results kept, an arm is never trained again
    for network in (tmp_path / 'state/networks').iterdir():
        network.unlink()
    assert study.is_done()
    assert Study(plan, tmp_path / 'elsewhere').is_done()


def test_what_is_missing_is_made_again(finished, plan_path, tmp_path):
    """The teacher's results are kept, its network is lost, and an arm needs it."""
    study = finished.copy_to(tmp_path)
    plan = study.plan
    for result in (tmp_path / 'results').glob('[!t]*'):  # all but the teacher's
        result.unlink()
    network = study.network(plan.teachers[0], 0)
    first = torch.load(network, weights_only=True)['state_dict']
    network.unlink()
    (tmp_path / 'state/runs/teacher-s0/last_checkpoint').unlink()
    assert 'train:teacher:0' in list(study.pending())
    study.do('train:teacher:0', {}, lambda message: None)
    again = torch.load(network, weights_only=True)['state_dict']
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_an_arm_that_was_cut_off_goes_on(finished, plan_path, tmp_path):
    study = finished.copy_to(tmp_path)
    plan = study.plan
    whole = torch.load(study.network(plan.arms[0], 0), weights_only=True)
    other = Study(plan, tmp_path / 'other')
    shutil.copytree(study.features(), other.features())
    config = other.config_of(plan.arms[0], 0, {})
    config.train_cfg.max_iters = 1  # it was cut off here
    toy.train(config)
    messages = []
    other.do('train:alone:0', {}, messages.append)
    assert messages[0] == 'alone, seed 0: resuming'
    resumed = torch.load(other.network(plan.arms[0], 0), weights_only=True)
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][key]), key
    steps = [row['iteration'] for row in curve_of(str(config.work_dir))]
    assert steps == [1, 2]


def test_the_same_start_for_every_arm_of_a_seed(finished, plan_path, tmp_path):
    study = finished.copy_to(tmp_path)
    plan = study.plan
    from fdsr.engine.launch import build_runner
    alone = build_runner(study.config_of(plan.arms[0], 0, {})).model.generator
    learning = build_runner(study.config_of(plan.arms[1], 0, {})).model.student
    another = build_runner(study.config_of(plan.arms[0], 1, {})).model.generator
    for (name, a), b, c in zip(alone.named_parameters(), learning.parameters(),
                               another.parameters()):
        assert torch.equal(a, b), name
        if a.requires_grad and name.endswith('original'):
            assert not torch.equal(a, c)


def test_an_arm_starts_from_another_ones_network_of_its_seed(
        finished, plan_path, tmp_path):
    content = Config.fromfile(plan_path).to_dict()
    content['arms'] = [content['arms'][0], dict(
        name='further', config='student.py', start='alone', seeds=[1],
        options={'model.init_from': '{start}'})]
    Config(content).dump(plan_path)
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    shutil.copytree(finished.folder / 'state/frozen', tmp_path / 'state/frozen')
    assert list(study.pending()) == ['train:alone:0', 'train:alone:1',
                                     'dictionary']  # the teacher's
    networks = tmp_path / 'state/networks'
    networks.mkdir()
    shutil.copy(finished.folder / 'state/networks/alone-s1.pth', networks)
    assert 'train:further:1' in list(study.pending())
    from fdsr.engine.launch import build_runner
    trained = torch.load(study.network(plan.arms[0], 1), weights_only=True)
    started = build_runner(
        study.config_of(plan.arms[1], 1, {})).model.generator.state_dict()
    for name, value in started.items():
        assert torch.equal(value, trained['state_dict'][f'generator.{name}']), name


def _try_lock(plan_path, state, queue):
    with Study(read_plan(plan_path), state).locked('train:alone:0') as lock:
        queue.put(lock is not None)


def test_no_two_processes_do_the_same(plan_path, tmp_path):
    study = Study(read_plan(plan_path), tmp_path / 'state')
    context = multiprocessing.get_context('fork')  # the imports take seconds
    queue = context.Queue()
    with study.locked('train:alone:0') as lock:
        assert _tried(context, plan_path, tmp_path, queue) is False
        with study.locked('features') as other:
            assert other is not None
        # the launching process exits, its worker keeps running
        worker = subprocess.Popen(['sleep', '60'], pass_fds=[lock])
    assert _tried(context, plan_path, tmp_path, queue) is False
    worker.kill()
    worker.wait()
    assert _tried(context, plan_path, tmp_path, queue) is True


def _tried(context, plan_path, tmp_path, queue):
    process = context.Process(
        target=_try_lock, args=(plan_path, tmp_path / 'state', queue))
    process.start()
    got = queue.get(timeout=60)
    process.join()
    return got


def test_plans_are_checked(plan_path):
    plan = Config.fromfile(plan_path)
    for change, message in (({'control': 'nobody'}, "control of distilled is 'nobody'"),
                            ({'teacher': 'alone'}, "teacher of distilled is 'alone'"),
                            ({'start': 'nobody'}, "start of distilled is 'nobody'"),
                            ({'teacher': None}, 'give it teacher=NAME'),
                            ({'options': {'x': '{start}'}}, 'give it start=NAME'),
                            ({'beside': ['alone', 'nobody']}, "is 'nobody'"),
                            ({'name': 'alone'}, 'unique')):
        other = Config(plan.to_dict())
        other.arms[1].update(change)
        other.dump(plan_path.with_name('other.py'))
        with pytest.raises(ValueError, match=message):
            read_plan(plan_path.with_name('other.py'))
    with pytest.raises(FileNotFoundError):
        read_plan(plan_path.with_name('nowhere.py'))


def test_the_projects_own_plan(tmp_path):
    plan = read_plan(RUN.with_name('configs') / 'plan.py')
    study = Study(plan, tmp_path)
    for arm in plan.teachers + plan.arms:
        config = study.config_of(arm, 0, {})
        assert config.train_cfg.max_iters >= 2000, arm.name
        assert ('optim_wrapper' in config) == (arm.name != 'bicubic')
        learned = str(study.features('teacher')) in (
            config.model.get('frozen_features') or [])
        assert learned == (arm.teacher == 'teacher' and arm.name != 'warm_without_kd'
                           ), arm.name


def test_the_tool_lists_what_is_to_be_done(plan_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'run.py', str(plan_path), '--state', str(tmp_path / 'state'), '--list'])
    runpy.run_path(str(RUN), run_name='__main__')
    assert capsys.readouterr().out.split() == [
        'features', 'dictionary', 'train:bicubic:0']


@pytest.mark.parametrize('option', ['--faces', '--keep'])
def test_what_is_of_a_figure_does_not_start_the_study(plan_path, tmp_path, monkeypatch,
                                                      capsys, option):
    monkeypatch.setattr(sys, 'argv', [
        'run.py', str(plan_path), '--state', str(tmp_path / 'state'), option, 'x'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(RUN), run_name='__main__')
    assert f'{option} requires --figure FILE' in capsys.readouterr().err
    assert not (tmp_path / 'state').exists()
