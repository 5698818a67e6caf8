"""A study of toys: what is to be done, doing it, and going on where it stopped."""

import multiprocessing
import runpy
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
AUTOCAST = dict(type='fdsr.AutocastOptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
LEARNS = {'model.teacher.checkpoint': '{teacher}'}


def write_configs(folder):
    """The configs of a toy study: student, teacher and distillation."""
    teacher = {**toy.TEACHER, 'dictionary': dict(file='nowhere.pth')}
    configs = dict(
        student=toy.restorer_config('unused', optim_wrapper=AUTOCAST),
        teacher=toy.restorer_config('unused', teacher, optim_wrapper=AUTOCAST),
        distill=toy.distiller_config(
            'unused', dict(checkpoint='nowhere.pth'), optim_wrapper=dict(
                constructor='fdsr.GroupOptimWrapperConstructor', student=AUTOCAST,
                discriminator=AUTOCAST)))
    configs['bicubic'] = toy.restorer_config(
        'unused', dict(type='fdsr.Bicubic', scale=toy.SCALE),
        model__test_cfg=dict(name='bicubic'))
    configs['bicubic'].pop('optim_wrapper')
    for name, config in configs.items():
        config.model.setdefault('test_cfg', dict(name='generator'))
        config.pop('work_dir')
        config.pop('experiment_name')
        config.train_dataloader.dataset.pipeline[-1].meta_keys = ['name', 'mirrored']
        config.default_hooks.checkpoint.interval = 1
        config.default_hooks.logger.log_metric_by_epoch = False
        config.dump(folder / f'{name}.py')


@pytest.fixture
def plan_path(tmp_path, monkeypatch):
    write_configs(tmp_path)
    # what is measured is another test's business, and takes long
    rows = [dict(name=f'i{n}', model='x', PSNR=20 + n, SSIM=0.5, LPIPS=0.1,
                 **{'LPIPS-vgg16': 0.2, 'ID-dlib': 0.9}) for n in range(3)]

    def run_test(config, checkpoint, out):
        from fdsr.apis import load_backbone
        from fdsr.evaluation.protocol import write_rows
        assert (checkpoint is None) == (config.model.test_cfg.name == 'bicubic')
        if checkpoint:
            load_backbone(checkpoint)
        write_rows(Path(out).with_suffix('.csv'), rows)

    monkeypatch.setattr('fdsr.evaluation.testing.run_test', run_test)
    plan = dict(
        results=str(tmp_path / 'results'), document=str(tmp_path / 'study.md'),
        dictionary=dict(config='teacher.py', num_atoms=2, max_faces=8, seed=0),
        taps=['decoder.to_rgb:input'],
        teachers=[dict(name='teacher', config='teacher.py', options={
            'model.generator.dictionary.file': '{dictionary}'})],
        arms=[
            dict(name='alone', config='student.py', seeds=[0, 1]),
            dict(name='distilled', config='distill.py', teacher='teacher',
                 control='alone', seeds=[0], options=LEARNS),
            dict(name='warm', config='student.py', teacher='teacher', seeds=[0],
                 options={'model.init_from': '{teacher}'}),
            dict(name='bicubic', config='bicubic.py', frozen=False)])
    Config(plan).dump(tmp_path / 'plan.py')
    return tmp_path / 'plan.py'


def test_the_whole_study(plan_path, tmp_path):
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    assert [(arm.name, seed) for arm, seed in in_order(plan)] == [
        ('alone', 0), ('distilled', 0), ('warm', 0), ('bicubic', 0), ('alone', 1),
        ('teacher', 0)]
    assert list(study.pending()) == ['features', 'dictionary', 'train:bicubic:0']
    done = []
    while not study.is_done():
        job = next(study.pending())
        study.do(job, {}, lambda message: None)
        done.append(job)
    assert done == ['features', 'train:alone:0', 'dictionary', 'train:teacher:0',
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
    assert Study(plan, tmp_path / 'elsewhere').is_done()


def test_what_is_missing_is_made_again(plan_path, tmp_path):
    """The teacher's results are kept, its network is lost, and an arm needs it."""
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    for job in ('dictionary', 'features', 'train:teacher:0'):
        study.do(job, {}, lambda message: None)
    network = study.network(plan.teachers[0], 0)
    first = torch.load(network, weights_only=True)['state_dict']
    network.unlink()
    (tmp_path / 'state/runs/teacher-s0/last_checkpoint').unlink()
    assert 'train:teacher:0' in list(study.pending())
    study.do('train:teacher:0', {}, lambda message: None)
    again = torch.load(network, weights_only=True)['state_dict']
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_an_arm_that_was_cut_off_goes_on(plan_path, tmp_path):
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    study.do('features', {}, lambda message: None)
    study.do('train:alone:0', {}, lambda message: None)
    whole = torch.load(study.network(plan.arms[0], 0), weights_only=True)
    other = Study(plan, tmp_path / 'other')
    other.do('features', {}, lambda message: None)
    config = other.config_of(plan.arms[0], 0, {})
    config.train_cfg.max_iters = 1  # it was cut off here
    toy.train(config)
    told = []
    other.do('train:alone:0', {}, told.append)
    assert told[0] == 'alone, seed 0: going on'
    resumed = torch.load(other.network(plan.arms[0], 0), weights_only=True)
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][key]), key
    steps = [row['iteration'] for row in curve_of(str(config.work_dir))]
    assert steps == [1, 2]


def test_the_same_start_for_every_arm_of_a_seed(plan_path, tmp_path):
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    for job in ('dictionary', 'features', 'train:teacher:0',
                'teacher_features:teacher'):
        study.do(job, {}, lambda message: None)
    from fdsr.engine.launch import build_runner
    alone = build_runner(study.config_of(plan.arms[0], 0, {})).model.generator
    learning = build_runner(study.config_of(plan.arms[1], 0, {})).model.student
    another = build_runner(study.config_of(plan.arms[0], 1, {})).model.generator
    for (name, a), b, c in zip(alone.named_parameters(), learning.parameters(),
                               another.parameters()):
        assert torch.equal(a, b), name
        if a.requires_grad and name.endswith('original'):
            assert not torch.equal(a, c)


def test_an_arm_starts_from_another_ones_network_of_its_seed(plan_path, tmp_path):
    content = Config.fromfile(plan_path).to_dict()
    content['arms'] = [content['arms'][0], dict(
        name='further', config='student.py', start='alone', seeds=[1],
        options={'model.init_from': '{start}'})]
    Config(content).dump(plan_path)
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    study.do('features', {}, lambda message: None)
    assert list(study.pending()) == ['train:alone:0', 'train:alone:1',
                                     'dictionary']  # the teacher's
    study.do('train:alone:1', {}, lambda message: None)
    assert 'train:further:1' in list(study.pending())
    from fdsr.engine.launch import build_runner
    trained = torch.load(study.network(plan.arms[0], 1), weights_only=True)
    started = build_runner(
        study.config_of(plan.arms[1], 1, {})).model.generator.state_dict()
    for name, value in started.items():
        assert torch.equal(value, trained['state_dict'][f'generator.{name}']), name


def _try_lock(plan_path, state, queue):
    with Study(read_plan(plan_path), state).locked('train:alone:0') as ours:
        queue.put(ours is not None)


def test_no_two_processes_do_the_same(plan_path, tmp_path):
    study = Study(read_plan(plan_path), tmp_path / 'state')
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    with study.locked('train:alone:0') as ours:
        assert _tried(context, plan_path, tmp_path, queue) is False
        with study.locked('features') as other:
            assert other is not None
        # who began the job is gone, who does it is not
        worker = subprocess.Popen(['sleep', '60'], pass_fds=[ours])
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
                            ({'name': 'alone'}, 'once')):
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
    assert f'{option} is of a figure: give --figure FILE too' in capsys.readouterr().err
    assert not (tmp_path / 'state').exists()
