"""Distillation: equations, gradients, taps, connectors, the shared encoder."""

import pytest
import torch
from torch import nn

from fdsr.models.files.checkpoints import CheckpointMismatch, load_backbone
from fdsr.models.losses import AdversarialFeatureLoss, FeatureL1Loss
from fdsr.models.restorers import FeatureDistiller
from fdsr.models.restorers.per_tap import discriminator_step
from fdsr.models.taps import FeatureTaps
from fdsr.registry import MODELS
from tests import toy


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


def distiller(teacher, **changes) -> FeatureDistiller:
    config = toy.distiller_config('unused', teacher).model.to_dict()
    return MODELS.build({**config, **changes})


def batch(size=2):
    from mmengine.registry import FUNCTIONS

    from fdsr.registry import DATASETS
    config = toy.loaders()['train_dataloader']['dataset']
    collate = FUNCTIONS.get('fdsr.collate_samples')
    dataset = DATASETS.build(dict(config))
    return collate([dataset[index] for index in range(size)])


def optimisers(model, lr=1e-3):
    from mmengine.optim import OptimWrapper, OptimWrapperDict
    return OptimWrapperDict(**{
        name: OptimWrapper(torch.optim.SGD(
            [p for module in modules for p in module.parameters() if p.requires_grad],
            lr))
        for name, modules in model.trainable_groups().items()})


def test_a_step_trains_student_and_discriminator_and_not_the_teacher(teacher):
    model = distiller(teacher).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log = model.train_step(batch(), optimisers(model))
    changed = {name.split('.')[0] for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'discriminator'}
    assert set(log) == {
        'loss', 'loss_pixel', 'loss_adversarial', 'loss_d_adversarial',
        'd_real_adversarial', 'd_fake_adversarial', 'd_accuracy_adversarial'}


def test_losses_are_the_papers_equations(teacher):
    model = distiller(teacher, pixel_loss=dict(type='fdsr.PixelLoss')).train()
    data = model.data_preprocessor(batch(), True)
    lr, samples = data['inputs'], data['data_samples']
    tap = 'decoder.to_rgb:input'
    model.eval()  # spectral and batch norm hold still
    with FeatureTaps(model.teacher, [tap]) as theirs, torch.no_grad():
        model.teacher(lr, samples.boxes)
    with FeatureTaps(model.student, [tap]) as ours:
        sr = model.student(lr)
    judge = model.discriminator['adversarial']
    expected_pixel = ((2 * (sr - samples.gt_img))**2).mean()
    expected_adversarial = ((judge(ours[tap]) - 1)**2).mean()
    expected_d = ((judge(theirs[tap]) - 1)**2).mean() + (judge(ours[tap])**2).mean()

    encoded, their_features = model.distillation_targets(lr, samples)
    losses, our_features = model.student_losses(lr, samples, encoded, their_features)
    torch.testing.assert_close(losses['loss_pixel'], expected_pixel)
    torch.testing.assert_close(losses['loss_adversarial'], expected_adversarial)
    log = discriminator_step(model.feature_losses, model.discriminator, our_features,
                             their_features, optimisers(model)['discriminator'])
    torch.testing.assert_close(log['loss_d_adversarial'], expected_d.detach())


def test_the_adversarial_gradient_reaches_the_student_alone(teacher):
    no_pixels = dict(type='fdsr.PixelLoss', loss_weight=0.0)
    model = distiller(teacher, pixel_loss=no_pixels).train()
    data = model.data_preprocessor(batch(), True)
    encoded, theirs = model.distillation_targets(data['inputs'], data['data_samples'])
    losses, _ = model.student_losses(data['inputs'], data['data_samples'], encoded,
                                     theirs)
    losses['loss_adversarial'].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is None for p in model.discriminator.parameters())
    assert all(p.requires_grad for p in model.discriminator.parameters())
    trained = [name for name, p in model.student.named_parameters() if
               p.grad is not None and p.grad.abs().sum() > 0]
    assert 'decoder.bottleneck.join.parametrizations.weight.original' in trained
    assert not any(name.startswith('encoder') for name in trained)


def test_the_shared_encoder_runs_once_and_changes_nothing(teacher, monkeypatch):
    model = distiller(teacher).train()
    assert model.shares_encoder
    runs = []
    forward = type(model.teacher.encoder).forward
    monkeypatch.setattr(type(model.teacher.encoder), 'forward',
                        lambda self, image: runs.append(1) or forward(self, image))
    data = model.data_preprocessor(batch(), True)
    model.eval()

    def losses():
        encoded, theirs = model.distillation_targets(
            data['inputs'], data['data_samples'])
        return model.student_losses(data['inputs'], data['data_samples'], encoded,
                                    theirs)[0]

    shared = losses()
    assert len(runs) == 1
    model.shares_encoder = False
    separate = losses()
    assert len(runs) == 3
    for name in shared:
        torch.testing.assert_close(shared[name], separate[name])


@MODELS.register_module(force=True)
class PlainStudent(nn.Module):
    """A foreign backbone with other channels."""

    def __init__(self, channels=6):
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.up = nn.Upsample(scale_factor=toy.SCALE)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, lr):
        return self.last(self.up(self.head(lr)))


def test_another_backbone_learns_through_a_connector(teacher):
    model = distiller(
        teacher, student=dict(type='PlainStudent'),
        feature_losses=[
            dict(type='fdsr.AdversarialFeatureLoss', student='last:input'),
            dict(type='fdsr.FeatureL1Loss', student='up:output', loss_weight=0.1)])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log = model.train().train_step(batch(), optimisers(model))
    assert 'loss_feature_l1' in log
    changed = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert {'connectors.adversarial.weight', 'connectors.feature_l1.weight',
            'student.head.weight'} <= changed
    assert not any(name.startswith('teacher') for name in changed)


def test_taps_at_several_places_have_a_discriminator_each(teacher):
    model = distiller(teacher, feature_losses=[
        dict(type='fdsr.AdversarialFeatureLoss', teacher='decoder.stages.0:output'),
        dict(type='fdsr.AdversarialFeatureLoss', teacher='decoder.stages.3:output')])
    assert list(model.discriminator) == ['adversarial', 'adversarial_2']
    log = model.train().train_step(batch(), optimisers(model))
    assert {'loss_d_adversarial', 'loss_d_adversarial_2'} <= set(log)


def test_losses_of_one_class_are_all_kept(teacher):
    model = distiller(teacher, feature_losses=[
        dict(type='fdsr.FeatureL1Loss', teacher='decoder.stages.0:output'),
        dict(type='fdsr.FeatureL1Loss', teacher='decoder.stages.3:output')])
    assert list(model.feature_losses) == ['feature_l1', 'feature_l1_2']
    log = model.train().train_step(batch(), optimisers(model))
    assert {'loss_feature_l1', 'loss_feature_l1_2'} <= set(log)


def test_without_adversarial_loss_there_is_no_discriminator(teacher):
    model = distiller(teacher, feature_losses=[dict(type='fdsr.FeatureL1Loss')])
    assert list(model.trainable_groups()) == ['student']
    log = model.train().train_step(batch(), optimisers(model))
    assert set(log) == {'loss', 'loss_pixel', 'loss_feature_l1'}


def test_the_teacher_computes_what_its_file_says_without_spectral_norm(teacher):
    frozen, loaded = distiller(teacher).teacher, load_backbone(teacher)
    size = loaded.size
    lr = torch.rand(2, 3, size // 8, size // 8)
    boxes = torch.tensor([8., 8, 24, 24]).expand(2, 4, 4)
    with torch.no_grad():
        assert torch.equal(frozen(lr, boxes), loaded(lr, boxes))
    assert not any('parametrizations' in name for name in frozen.state_dict())


def test_the_student_can_start_from_the_teachers_decoder(teacher):
    model = distiller(teacher, init_from='teacher')
    theirs = load_backbone(teacher).decoder.state_dict()
    for name, value in model.student.decoder.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    by_path = distiller(teacher, init_from=str(teacher))
    assert torch.equal(by_path.student.decoder.to_rgb.weight, theirs['to_rgb.weight'])


@pytest.mark.parametrize('feature_losses', [
    None, [dict(type='fdsr.AdversarialImageLoss'),
           dict(type='fdsr.FeatureL1Loss', connector=True)]])
def test_a_student_starts_as_it_would_on_its_own(teacher, feature_losses):
    torch.manual_seed(7)
    alone = MODELS.build(dict(type='fdsr.FaceRestorer', generator=toy.STUDENT))
    torch.manual_seed(7)
    model = distiller(teacher, feature_losses=feature_losses)
    expected = alone.generator.state_dict()
    found = model.student.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    torch.manual_seed(8)
    other = distiller(teacher).student.decoder.to_rgb.weight
    assert not torch.equal(other, found['decoder.to_rgb.weight'])


def test_weights_follow_their_schedule():
    loss = FeatureL1Loss(loss_weight=[(0, 10.0), (100, 0.0)])
    assert [loss.weight_at(i) for i in (0, 50, 100, 500)] == [10.0, 5.0, 0.0, 0.0]
    assert AdversarialFeatureLoss(loss_weight=0.3).weight_at(7) == 0.3
    with pytest.raises(ValueError, match='ascend'):
        FeatureL1Loss(loss_weight=[(10, 1.0), (5, 0.0)])


def test_a_missing_teacher_says_how_to_train_one():
    with pytest.raises(FileNotFoundError, match='nowhere.pth.*teacher_vggface2'):
        distiller('nowhere.pth')
    with pytest.raises(FileNotFoundError, match='model.teacher.checkpoint'):
        distiller(dict(checkpoint=None))


def test_a_teacher_of_another_width_is_refused(teacher):
    wider = {**toy.TEACHER, 'width': 1.0}
    with pytest.raises(CheckpointMismatch, match='width: expected 1.0, found 0.2'):
        distiller(dict(checkpoint=str(teacher), expect=wider))
    distiller(dict(checkpoint=str(teacher), expect=toy.TEACHER))


@pytest.mark.parametrize('tap, message', [
    ('decoder.to_rbg:input', 'decoder.to_rgb'),
    ('decoder.to_rgb', 'MODULE.PATH:input'),
    ('decoder.stages.0:output', 'differ in size'),
])
def test_wrong_taps_are_refused_before_training(teacher, tap, message):
    with pytest.raises(ValueError, match=message):
        distiller(teacher, feature_losses=[
            dict(type='fdsr.FeatureL1Loss', student=tap)])


def test_another_scale_is_refused(teacher):
    with pytest.raises(ValueError, match='scales must match'):
        distiller(teacher, student={**toy.STUDENT, 'scale': 8})


def test_taps_leave_no_hooks_behind(teacher):
    model = distiller(teacher)
    with FeatureTaps(model.student, ['decoder.tail:output']) as features:
        model.student(torch.rand(1, 3, 8, 8))
    assert features['decoder.tail:output'].shape[-1] == 8 * toy.SCALE
    assert not model.student.decoder.tail._forward_hooks


# Any module as a teacher

OUTPUT = dict(type='fdsr.FeatureL1Loss', teacher=':output')


def test_a_config_alone_makes_a_teacher(tmp_path):
    model = distiller(dict(network=dict(type='fdsr.Bicubic', scale=toy.SCALE)),
                      feature_losses=[OUTPUT])
    log = model.train().train_step(batch(), optimisers(model))
    assert log['loss_feature_l1'] > 0
    assert not any(value.requires_grad for value in model.teacher.parameters())


@pytest.mark.parametrize('wrap', [
    lambda state: state, lambda state: {'params_ema': state, 'params': {}},
    lambda state: {'state_dict': state, 'epoch': 3}])
def test_a_plain_state_dict_fills_a_teacher(tmp_path, wrap):
    torch.manual_seed(3)
    network = MODELS.build(dict(type='PlainStudent'))
    torch.save(wrap(network.state_dict()), tmp_path / 'foreign.pth')
    model = distiller(
        dict(network=dict(type='PlainStudent'), weights=str(tmp_path / 'foreign.pth')),
        student=dict(type='PlainStudent'),
        feature_losses=[dict(type='fdsr.FeatureL1Loss', teacher='last:input')])
    for name, value in network.state_dict().items():
        assert torch.equal(value, model.teacher.state_dict()[name]), name
    assert model.teacher.scale == toy.SCALE and not model.teacher.training
    log = model.train().train_step(batch(), optimisers(model))
    assert log['loss_feature_l1'] > 0
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    model.train_step(batch(), optimisers(model))
    assert all(torch.equal(value, before[name])
               for name, value in model.teacher.state_dict().items())


def test_a_teacher_by_config_is_stored_under_its_config(tmp_path):
    network = dict(type='fdsr.RepSR', scale=4, channels=8, blocks=1,
                   stage_channels=[8], stage_blocks=[1], context_channels=8)
    config = toy.distiller_config(tmp_path, dict(network=network))
    config.model.feature_losses = [
        dict(type='fdsr.FeatureL1Loss', teacher=':output', student=':output')]
    runner = toy.train(config)
    lr = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        teacher = load_backbone(runner.work_dir + '/iter_2.pth', 'teacher')
        assert torch.equal(teacher(lr), runner.model.teacher(lr))


def test_a_foreign_teachers_errors_name_what_is_wrong(tmp_path):
    network = dict(type='PlainStudent')
    with pytest.raises(FileNotFoundError, match='nowhere.pth.*model.teacher.weights'):
        distiller(dict(network=network, weights='nowhere.pth'))
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(CheckpointMismatch, match='list.pth: expected a state dict'):
        distiller(dict(network=network, weights=str(tmp_path / 'list.pth')))
    torch.save({'other': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointMismatch, match='other.pth'):
        distiller(dict(network=network, weights=str(tmp_path / 'other.pth')))
    with pytest.raises(ValueError, match='found the keys network, checkpoint'):
        distiller(dict(network=network, checkpoint='teacher.pth'))


def test_an_unknown_name_in_the_report_is_an_error(teacher):
    with pytest.raises(ValueError, match="unknown name 'techer'; expected student, te"):
        distiller(teacher, test_cfg=dict(report=['student', 'techer']))


def test_a_recurrent_student_has_the_same_pixel_loss_as_without_a_teacher(teacher):
    """All steps count, also beside a teacher."""
    student = dict(type='fdsr.SRFBN', scale=toy.SCALE, channels=8, steps=3, groups=2)
    torch.manual_seed(5)
    alone = MODELS.build(dict(type='fdsr.FaceRestorer', generator=student))
    torch.manual_seed(5)
    model = distiller(teacher, student=student, feature_losses=[OUTPUT])
    model.student.load_state_dict(alone.generator.state_dict())
    data = model.data_preprocessor(batch(), True)
    lr, samples = data['inputs'], data['data_samples']
    encoded, targets = model.distillation_targets(lr, samples)
    losses, _ = model.student_losses(lr, samples, encoded, targets)
    expected = alone.forward_train(lr, samples)['loss_pixel']
    torch.testing.assert_close(losses['loss_pixel'], expected)
    last = model.pixel_loss(model.student(lr), samples.gt_img)
    assert losses['loss_pixel'] > 1.5 * last


def test_the_iteration_is_the_runs(teacher):
    from mmengine.logging import MessageHub
    model = distiller(teacher, feature_losses=[
        dict(type='fdsr.FeatureL1Loss', loss_weight=[(0, 0.0), (10, 1.0)])]).train()
    hub = MessageHub.get_instance('test_iteration')
    for iteration, zero in ((0, True), (10, False)):
        hub.update_info('iter', iteration)
        log = model.train_step(batch(), optimisers(model))
        assert (log['loss_feature_l1'] == 0) == zero


ATOM_LOSS = dict(type='fdsr.AtomLoss', tap='decoder.to_rgb:input')


def test_a_student_predicts_the_atoms_that_match_hr(teacher):
    torch.manual_seed(0)
    model = distiller(teacher, feature_losses=[], atom_loss=ATOM_LOSS).train()
    model.teacher.forward = None  # only its encoder and dictionary are used
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = batch()
    log = model.train_step(data, optimisers(model))
    changed = {name.split('.')[0] for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'atom_loss'}
    assert set(log) == {'loss', 'loss_pixel', 'loss_atoms', 'atoms_found'}
    plain = distiller(teacher, feature_losses=[]).train()
    plain.load_state_dict({name: before[name] for name in plain.state_dict()})
    plain.train_step(data, optimisers(plain))
    assert not all(torch.equal(value, model.state_dict()[name])
                   for name, value in plain.state_dict().items())


def test_atoms_need_a_tap_a_dictionary_and_boxes(teacher):
    with pytest.raises(ValueError, match='with a dictionary.*DistilledStudent'):
        distiller(dict(network=toy.STUDENT), atom_loss=ATOM_LOSS)
    with pytest.raises(ValueError, match='set tap to a feature of the student'):
        distiller(teacher, atom_loss=dict(type='fdsr.AtomLoss'))
    none = dict(toy.TEACHER, dictionary=dict(num_atoms=0), use_atoms=False)
    with pytest.raises(ValueError, match='number of atoms .* found 0'):
        distiller(dict(network=none), atom_loss=ATOM_LOSS)
    model = distiller(teacher, feature_losses=[], atom_loss=ATOM_LOSS)
    data = model.data_preprocessor(batch(), True)
    del data['data_samples'].boxes
    with pytest.raises(ValueError, match='needs component boxes'):
        model.distillation_targets(data['inputs'], data['data_samples'])
