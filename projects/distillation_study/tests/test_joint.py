"""Several students in one training: each learns what it would learn alone."""

import shutil

import pytest
import torch
from mmagic.structures import DataSample
from mmengine.config import Config
from torch import nn

from fdsr.apis import load_backbone
from fdsr.datasets.base import collate_samples
from fdsr.engine.optim import GroupOptimWrapperConstructor
from fdsr.models.restorers import FeatureDistiller
from fdsr.registry import DATASETS
from projects.distillation_study.study.arm import Arm
from projects.distillation_study.study.jobs import Study, curve_of
from projects.distillation_study.study.joint import JointStudents, with_random_atoms
from projects.distillation_study.study.plan import read_plan
from projects.distillation_study.tests.toys import AUTOCAST, write_joint_plan
from tests import toy

STUDENT = dict(type='fdsr.RepSR', scale=toy.SCALE, channels=8, blocks=1,
               stage_channels=(4,), stage_blocks=(1,), context_channels=8,
               context_blocks=1)
LAST = dict(teacher='decoder.stages.1:output', student='to_rgb:input')
D = dict(type='fdsr.FeatureDiscriminator', base_channels=4, depth=2)
ATOM_LOSS = dict(type='fdsr.AtomLoss', tap='stages:input')
HALF = dict(type='fdsr.PixelLoss', loss_weight=50.0)


class RandomWindow(nn.Module):
    """A loss with random numbers, as LPIPS of windows."""

    def forward(self, sr, gt):
        left = int(torch.randint(16, ()))
        return (sr - gt)[..., left:left + 16].square().mean()


SHARED = dict(student=STUDENT, teacher=dict(network=toy.TEACHER),
              extra_losses=dict(window=dict(type=RandomWindow)))
ARMS = dict(
    plain={},
    output=dict(pixel_loss=HALF,
                feature_losses=[dict(type='fdsr.OutputLoss', loss_weight=50.0)]),
    adversarial=dict(discriminator=D, feature_losses=[
        dict(type='fdsr.AdversarialFeatureLoss', loss_weight=0.1, **LAST)]),
    atoms=dict(atom_loss=ATOM_LOSS),
    afd=dict(peer=True, discriminator=D, feature_losses=[
        dict(type='fdsr.AdversarialFeatureLoss', teacher='to_rgb:input')]))


def built(kind, **arguments):
    torch.manual_seed(3)
    return kind(**arguments).train()


def trained(model, iterations=2, wrapper=None):
    """Trains a model on the same batches, with the same random numbers."""
    groups = {f'{arm}{group}': wrapper or toy.adam()
              for group in ('student', 'discriminator')
              for arm in ('', *(f'{arm}/' for arm in getattr(model, 'arms', ())))}
    wrappers = GroupOptimWrapperConstructor(groups)(model)
    faces = DATASETS.build(toy.loaders()['train_dataloader']['dataset'])
    torch.manual_seed(4)
    for iteration in range(iterations):
        batch = collate_samples([faces[2 * iteration], faces[2 * iteration + 1]])
        log = model.train_step(batch, wrappers)
    return log


@pytest.fixture(scope='module')
def joint():
    model = built(JointStudents, arms=ARMS, **SHARED)
    model.start = {name: {key: value.clone() for key, value in
                          arm.student.state_dict().items()}
                   for name, arm in model.arms.items()}
    model.log = trained(model)
    return model


@pytest.mark.parametrize('wrapper', [None, AUTOCAST], ids=['fp32', 'bf16'])
@pytest.mark.parametrize('arm', ['output', 'adversarial', 'atoms'])
def test_an_arm_equals_a_distillation_alone_bit_for_bit(joint, arm, wrapper):
    if wrapper:
        joint = built(JointStudents, arms=ARMS, **SHARED)
        joint.log = trained(joint, wrapper=wrapper)
    alone = built(FeatureDistiller, **{**SHARED, 'feature_losses': [], **ARMS[arm]})
    log = trained(alone, wrapper=wrapper)
    for key, value in alone.student.state_dict().items():
        assert torch.equal(value, joint.arms[arm].student.state_dict()[key]), key
    for key, value in alone.discriminator.state_dict().items():
        assert torch.equal(value, joint.arms[arm].discriminator.state_dict()[key]), key
    assert log and all(joint.log[f'{arm}.{key}'] == value for key, value in log.items())


def test_arms_start_equally_and_learn_different_things(joint):
    starts, students = joint.start, joint.reported_networks()
    assert list(students) == ['plain', 'output', 'adversarial', 'atoms', 'afd']
    key = 'to_rgb.weight'
    for name, student in students.items():
        assert torch.equal(starts[name][key], starts['plain'][key])
        assert not torch.equal(student.state_dict()[key], starts[name][key])
    assert len({tuple(student.state_dict()[key].flatten().tolist())
                for student in students.values()}) == 5
    assert set(joint.seconds) == {'teacher', 'atoms of HR', *ARMS, 'afd_peer'}


@pytest.mark.parametrize('arm', ARMS)
def test_random_windows_do_not_depend_on_the_first_arm(arm):
    """Runs of the same seed draw the same windows, so that they can be paired."""
    states = []
    for name in ('plain', arm):
        model = built(JointStudents, arms={name: ARMS[name]}, **SHARED)
        faces = DATASETS.build(toy.loaders()['train_dataloader']['dataset'])
        batch = collate_samples([faces[0], faces[1]])
        groups = {f'{name}{peer}/{group}': toy.adam() for peer in ('', '_peer')
                  for group in ('student', 'discriminator')}
        wrappers = GroupOptimWrapperConstructor(
            {key: value for key, value in groups.items()
             if key in model.trainable_groups()})(model)
        states.append(torch.get_rng_state())
        model.train_step(batch, wrappers)
        states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[2])
    assert torch.equal(states[1], states[3])
    assert not torch.equal(states[0], states[1])


def test_peers_start_differently_and_learn_from_each_other(joint, monkeypatch):
    assert not torch.equal(joint.start['afd']['to_rgb.weight'],
                           joint.start['afd_peer']['to_rgb.weight'])
    seen = {}
    monkeypatch.setattr(Arm, 'discriminator_step', lambda self, own, other, gt, wrapper:
                        seen.update({id(self): (own, other)}) or {})
    trained(joint, iterations=1)
    first, second = (seen[id(joint.arms[name])] for name in ('afd', 'afd_peer'))
    tap, = first[1]
    assert torch.equal(first[1][tap], next(iter(second[0].values())))
    assert torch.equal(second[1][tap], next(iter(first[0].values())))
    assert not first[1][tap].requires_grad
    with pytest.raises(ValueError, match='arms.x: students that are peers'):
        built(JointStudents, **SHARED, arms=dict(x=dict(
            peer=True, feature_losses=[dict(type='fdsr.OutputLoss')])))


def test_the_teacher_runs_only_if_an_arm_needs_it():
    model = built(JointStudents, arms=dict(plain={}), **SHARED)
    model.teacher.forward = None
    assert 'plain.loss' in trained(model, iterations=1)


def test_a_plain_student_needs_no_teacher():
    alone = {**SHARED, 'teacher': None}
    with_teacher, without = (
        built(JointStudents, arms=dict(plain={}), **settings)
        for settings in (SHARED, alone))
    assert trained(with_teacher)['plain.loss'] == trained(without)['plain.loss']
    for key, value in with_teacher.plain.state_dict().items():
        assert torch.equal(value, without.plain.state_dict()[key]), key
    assert list(without.backbone_configs) == ['plain']
    with pytest.raises(ValueError, match='arms.output: this arm needs a teacher'):
        built(JointStudents, arms=dict(output=ARMS['output']), **alone)


def test_lpips_sees_each_target_once(monkeypatch):
    shared = dict(SHARED, perceptual_loss=dict(type='fdsr.LPIPSLoss', net='alex'))
    model = built(JointStudents, arms=dict(plain={}, output=ARMS['output'], eco=dict(
        target=[(0, 0.5)])), **shared)
    network, runs = model.perceptual_loss.network.net.network, []
    forward = network.forward
    monkeypatch.setattr(network, 'forward',
                        lambda value: runs.append(value) or forward(value))
    log = trained(model, iterations=1)
    assert [value.requires_grad for value in runs].count(False) == 2
    model.perceptual_loss.network.net.active = False
    runs.clear()
    trained(model, iterations=1)
    assert [value.requires_grad for value in runs].count(False) == 3
    alone = built(FeatureDistiller, **{**shared, **ARMS['output']})
    assert trained(alone, iterations=1)['loss'] == log['output.loss']


def test_targets():
    gt, output = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 2.0)
    samples = DataSample(metainfo=dict(name=['a', 'b'], has_hr=[True, False]))
    samples.gt_img = gt

    def target(kind, iteration=0):
        arm = built(
            Arm, student=STUDENT, teacher=None, target=kind, shared=dict.fromkeys(
                ['pixel_loss', 'perceptual_loss', 'extra_losses']))
        assert arm.teacher_taps() == (set() if kind == 'gt' else {':output'})
        return arm._target(samples, {':output': output}, iteration).mean((1, 2, 3))

    assert target('gt').tolist() == [0, 0]
    assert target('labelled').tolist() == [0, 1]  # the teacher's output, clamped
    eco = [(0, 1.0), (100, 0.0)]
    assert [float(target(eco, at)[0]) for at in (0, 25, 100, 200)] == pytest.approx(
        [1, 0.75, 0, 0])
    with pytest.raises(ValueError, match="found 'teacher'"):
        target('teacher')


@pytest.fixture
def study(tmp_path, monkeypatch):
    from projects.distillation_study.tests.toys import run_test
    monkeypatch.setattr('fdsr.evaluation.testing.run_test', run_test)
    path = write_joint_plan(tmp_path, STUDENT, {
        name: settings for name, settings in ARMS.items() if name != 'afd'})
    study = Study(read_plan(path), tmp_path / 'state')
    network = study.network(study.plan.teachers[0], 0)
    network.parent.mkdir(parents=True)
    shutil.copy(toy.trained_teacher(tmp_path / 'teacher'), network)
    return study


def test_a_joint_run_is_interrupted_and_resumes_exactly(study, tmp_path):
    arms = study.plan.arms
    assert [arm.name for arm in arms] == ['plain', 'taught', 'adversarial']
    assert [job for job in study.pending() if job.startswith('joint')] == [
        'joint:toys:0', 'joint:toys:1']
    study.do('joint:toys:0', {}, lambda message: None)
    whole = {arm.name: load_backbone(study.network(arm, 0)).state_dict()
             for arm in arms}
    run = study.run_folder(arms[0], 0)
    assert load_backbone(run / 'iter_3.pth', 'output').state_dict().keys() == \
        whole['taught'].keys()
    assert not list(study.plan.results.glob('*-s1.csv'))
    curve = curve_of(str(run), 'output')
    assert [row['iteration'] for row in curve] == [1, 2, 3]
    assert curve[0]['loss_output'] > 0 and 'val/PSNR' in curve[-1]

    again = Study(study.plan, tmp_path / 'again')
    shutil.copytree(study.state / 'networks', again.state / 'networks')
    for arm in arms:
        again.network(arm, 0).unlink()
        for result in study.plan.results.glob(f'{arm.name}-*'):
            result.unlink()
    config = again.config_of(arms[0], 0, {})
    config.train_cfg.max_iters = 2  # interrupted here
    toy.train(config)
    messages = []
    again.do('joint:toys:0', {}, messages.append)
    assert messages[0] == 'toys, seed 0: resuming'
    for arm in arms:
        for key, value in load_backbone(again.network(arm, 0)).state_dict().items():
            assert torch.equal(value, whole[arm.name][key]), f'{arm.name}: {key}'
    last, resumed = (torch.load(folder / 'iter_3.pth', weights_only=True)['optimizer']
                     for folder in (run, again.run_folder(arms[0], 0)))
    assert list(last) == ['plain/student', 'output/student', 'adversarial/student',
                          'adversarial/discriminator']
    for name, values in last.items():
        for index, state in values['state'].items():
            assert torch.equal(state['exp_avg'],
                               resumed[name]['state'][index]['exp_avg']), name


def test_a_seed_trains_only_the_arms_that_have_it(study):
    plain = study.plan.arm('plain')
    assert list(study.config_of(plain, 0, {}).model.arms) == [
        'plain', 'output', 'adversarial']
    assert list(study.config_of(plain, 1, {}).model.arms) == ['plain', 'output']
    content = Config.fromfile(study.plan.folder / 'plan.py').to_dict()
    content['joints'][0]['teacher'] = 'plain'
    Config(content).dump(study.plan.folder / 'other.py')
    with pytest.raises(ValueError, match="one of the teachers teacher, found 'plain'"):
        read_plan(study.plan.folder / 'other.py')


def test_a_student_predicts_atoms_and_keeps_no_head():
    model = built(JointStudents, **SHARED, arms=dict(
        plain={}, atoms=dict(atom_loss=ATOM_LOSS),
        atoms_random=dict(atom_loss=ATOM_LOSS, random_atoms=True)))
    model.teacher.forward = None  # only its encoder and dictionary are used
    log = trained(model, iterations=1)
    assert 'plain.loss_atoms' not in log
    assert log['atoms.loss_pixel'] == log['atoms_random.loss_pixel']
    assert log['atoms.loss_atoms'] != log['atoms_random.loss_atoms']
    assert model.atoms.state_dict().keys() == model.plain.state_dict().keys()
    assert not torch.equal(model.atoms.head.weight, model.plain.head.weight)


def test_random_atoms_are_not_the_dictionarys():
    teacher = built(JointStudents, arms=dict(plain={}), **SHARED).teacher
    twin = with_random_atoms(teacher)
    assert twin.encoder is teacher.encoder and teacher.dictionary is not twin.dictionary
    assert not torch.equal(twin.dictionary.atoms('nose', 0),
                           teacher.dictionary.atoms('nose', 0))
    again = with_random_atoms(teacher).dictionary
    assert torch.equal(twin.dictionary.atoms('nose', 0), again.atoms('nose', 0))


def test_d_sees_vggs_features_of_the_teachers_output_or_of_hr(monkeypatch):
    def arm(**changes):
        return dict(discriminator=D, feature_losses=[dict(
            type='fdsr.AdversarialVGGLoss', layer='relu2_2', pretrained=None,
            **changes)])

    model = built(JointStudents, **SHARED, arms=dict(vgg=arm()))
    assert model.arms['vgg'].teacher_taps() == {':output'}
    log = trained(model, iterations=1)
    assert log['vgg.loss_adversarial_vgg'] > 0
    assert 'vgg.d_accuracy_adversarial_vgg' in log
    control = built(JointStudents, **SHARED, arms=dict(hr=arm(teacher=None, faces=1)))
    control.teacher.forward = None
    seen = []
    loss = control.arms['hr'].feature_losses['adversarial_vgg']
    features_of = loss.seen
    monkeypatch.setattr(
        loss, 'seen', lambda images: seen.append(images) or features_of(images))
    trained(control, iterations=1)
    student, real, fake = seen  # of the student's step, then D's
    assert torch.equal(student.detach(), fake) and not torch.equal(real, fake)
    assert features_of(real).shape == (1, 128, 16, 16)
