"""Checkpoints of runs, and the moving average."""

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from fdsr.apis import load_backbone
from fdsr.engine.hooks import SaveImagesHook, TrainedEMAHook
from fdsr.engine.hooks.ema import copy_trained
from fdsr.models.files.checkpoints import CheckpointMismatch, read_checkpoint
from fdsr.registry import HOOKS, MODELS
from fdsr.weights import ExternalWeights
from tests import toy

KINDS = {'restorer': 'generator', 'distiller': 'student'}


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


@pytest.fixture(scope='module')
def first(tmp_path_factory):
    """A restorer's checkpoint after three iterations."""
    return toy.trained_student(tmp_path_factory.mktemp('first'))


def config_of(kind, folder, teacher, **changes):
    if kind == 'restorer':
        return toy.restorer_config(folder, **changes)
    return toy.distiller_config(folder, teacher, **changes)


@HOOKS.register_module(force=True)
class Watch(Hook):
    """Keeps a copy of a submodule's parameters after each iteration."""

    priority = 'LOWEST'

    def __init__(self, name):
        self.name, self.seen = name, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append({
            name: value.detach().clone()
            for name, value in getattr(runner.model, self.name).named_parameters()})


# The moving average

@pytest.mark.parametrize('kind', KINDS)
def test_the_average_follows_its_formula(kind, tmp_path, teacher):
    name = KINDS[kind]
    hooks = [dict(type='fdsr.TrainedEMAHook', name=name, momentum=0.25, start_iter=1),
             dict(type='Watch', name=name)]
    runner = toy.train(config_of(kind, tmp_path, teacher, custom_hooks=hooks,
                                 train_cfg__max_iters=4))
    watch = next(hook for hook in runner.hooks if isinstance(hook, Watch))
    expected = {key: value.double() for key, value in watch.seen[0].items()}
    for weights in watch.seen[1:]:
        for key, value in weights.items():
            expected[key] = 0.75 * expected[key] + 0.25 * value.double()
    average = getattr(runner.model, f'{name}_ema')
    for key, value in average.named_parameters():
        torch.testing.assert_close(value.double(), expected[key], rtol=0, atol=1e-6)
    current = dict(getattr(runner.model, name).named_buffers())
    for key, value in average.named_buffers():
        assert torch.equal(value, current[key]), key


@pytest.mark.parametrize('kind', KINDS)
def test_the_average_is_tested_and_leaves_the_training_alone(kind, tmp_path, teacher):
    name = KINDS[kind]
    hooks = [dict(type='fdsr.TrainedEMAHook', name=name, momentum=0.1)]
    with_it = toy.train(
        config_of(kind, tmp_path / 'with', teacher, custom_hooks=hooks)).model
    without = toy.train(config_of(kind, tmp_path / 'without', teacher)).model
    theirs = getattr(without, name).state_dict()
    for key, value in getattr(with_it, name).state_dict().items():
        assert torch.equal(value, theirs[key]), key
    average = getattr(with_it, f'{name}_ema')
    assert with_it.reported_networks()[name] is average
    assert without.reported_networks()[name] is getattr(without, name)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_an_average_starts_from_a_checkpoint_that_has_none(first, tmp_path):
    hooks = [dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.1)]
    runner = toy.train(toy.restorer_config(
        tmp_path, load_from=str(first), custom_hooks=hooks,
        optim_wrapper__optimizer__lr=0.0, train_cfg__max_iters=1))
    _, values = read_checkpoint(first)
    for key, value in runner.model.generator_ema.named_parameters():
        assert torch.equal(value, values[f'generator.{key}']), key


def test_an_average_that_is_no_longer_wanted_is_left_out(tmp_path):
    hooks = [dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.1)]
    toy.train(toy.restorer_config(tmp_path, custom_hooks=hooks,
                                  train_cfg__max_iters=3))
    runner = toy.train(toy.restorer_config(tmp_path, resume=True,
                                           train_cfg__max_iters=4))
    assert runner.iter == 4 and not hasattr(runner.model, 'generator_ema')


def test_only_external_parts_are_shared_with_the_average():
    network = MODELS.build(toy.STUDENT)
    network.encoder.external_weights = ExternalWeights('vgg', 'file', '0' * 64, '')
    average = copy_trained(network)
    assert average.encoder is network.encoder
    assert average.decoder is not network.decoder
    own = {value.data_ptr() for value in network.decoder.state_dict().values()}
    copied = {value.data_ptr() for value in average.decoder.state_dict().values()}
    assert not own & copied


def test_a_wrong_average_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'in \(0, 1\), found 1'):
        TrainedEMAHook('generator', momentum=1)
    hooks = [dict(type='fdsr.TrainedEMAHook', name='student')]
    with pytest.raises(ValueError, match="no submodule 'student' .*generator"):
        toy.train(toy.restorer_config(tmp_path, custom_hooks=hooks))


# Self-describing checkpoints

@pytest.mark.parametrize('resume', [True, False])
@pytest.mark.parametrize('change, message', [
    (dict(model__generator__width=0.5), r'expected \(.*found \(.*model\.init_from'),
    (dict(model__generator=toy.TEACHER), 'confidence.*is missing.*model.init_from'),
])
def test_a_run_goes_on_from_its_own_network_alone(
        first, tmp_path, resume, change, message):
    config = toy.restorer_config(tmp_path, load_from=str(first), resume=resume)
    config.merge_from_dict({key.replace('__', '.'): value
                            for key, value in change.items()})
    with pytest.raises(CheckpointMismatch, match=f'{first} does not match.*{message}'):
        toy.train(config)


def test_a_run_goes_on_with_its_own_teacher_alone(teacher, tmp_path):
    toy.train(toy.distiller_config(tmp_path, teacher, train_cfg__max_iters=3))
    other = tmp_path / 'other.pth'
    content = torch.load(teacher, weights_only=True)
    torch.save({**content, 'new': 1}, other)
    with pytest.raises(CheckpointMismatch) as error:
        toy.train(toy.distiller_config(tmp_path, other, resume=True,
                                       train_cfg__max_iters=4))
    for part in (tmp_path / 'iter_3.pth', teacher, other, 'SHA-256',
                 'Use the original file'):
        assert str(part) in str(error.value)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    path = tmp_path / 'foreign.pth'
    torch.save({'state_dict': {}, 'meta': {}}, path)
    with pytest.raises(CheckpointMismatch, match=r'foreign\.pth .*model\.init_from'):
        toy.train(toy.restorer_config(tmp_path, load_from=str(path)))


@MODELS.register_module(force=True)
class BackboneInABox(nn.Module):
    """A backbone with a child that is named as distributed wrappers name theirs."""

    def __init__(self):
        super().__init__()
        self.module = nn.Conv2d(3, 3, 3, padding=1)
        self.up = nn.Upsample(scale_factor=toy.SCALE)

    def forward(self, lr):
        return self.up(self.module(lr))


def test_a_child_named_module_keeps_its_name(tmp_path):
    runner = toy.train(toy.restorer_config(
        tmp_path, dict(type='BackboneInABox'), train_cfg__max_iters=3))
    network = load_backbone(tmp_path / 'iter_3.pth')
    assert torch.equal(network.module.weight, runner.model.generator.module.weight)
    toy.train(toy.restorer_config(tmp_path, dict(type='BackboneInABox'), resume=True,
                                  train_cfg__max_iters=4))


# Saved images

def test_pictures_are_saved_by_model_and_name(tmp_path):
    from PIL import Image
    hook = SaveImagesHook(tmp_path, limit=1)
    picture = torch.arange(3 * 4 * 4, dtype=torch.uint8).view(3, 4, 4)
    for name in ('n000002/0001_01', 'n000002/0002_01'):
        sample = type('Sample', (), dict(
            name=name, input=picture[:, :2, :2], gt_img=picture,
            predictions={'student': picture + 1}))
        hook.after_test_iter(None, 0, outputs=[sample])
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*.png'))
    models = ('hr', 'lr', 'student')
    assert files == [f'{model}/n000002/0001_01.png' for model in models]
    saved = Image.open(tmp_path / 'student/n000002/0001_01.png')
    assert saved.getpixel((1, 0)) == (2, 18, 34)  # R, G, B at x = 1, y = 0


# Runs that diverge

@HOOKS.register_module(force=True)
class Diverge(Hook):
    """Makes the last convolution NaN before an iteration."""

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            torch.nn.init.constant_(
                runner.model.generator.decoder.to_rgb.bias, float('nan'))


@pytest.mark.parametrize('at, last', [(5, 'iter_3.pth'), (0, None)])
def test_a_run_that_diverges_ends_before_it_saves(at, last, tmp_path):
    hooks = [dict(type='Diverge', at=at), dict(type='fdsr.StopOnNonFiniteHook')]
    config = toy.restorer_config(tmp_path, custom_hooks=hooks, train_cfg__max_iters=9)
    with pytest.raises(FloatingPointError) as error:
        toy.train(config)
    told = str(error.value)
    assert f'in iteration {at + 1}: ' in told and 'loss_pixel = nan' in told
    assert (f'{last}: resume' if last else 'No checkpoint') in told
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == [last] * bool(last)


def test_a_healthy_run_is_left_alone(tmp_path):
    hooks = [dict(type='fdsr.StopOnNonFiniteHook')]
    assert toy.train(toy.restorer_config(tmp_path, custom_hooks=hooks)).iter == 2


# The memory format

@pytest.mark.parametrize('kind', KINDS)
def test_channels_last_computes_the_same(kind, tmp_path, teacher):
    runs = [toy.train(config_of(kind, tmp_path / str(last), teacher,
                                channels_last=last, train_cfg__max_iters=3))
            for last in (False, True)]
    first, last = (getattr(run.model, KINDS[kind]) for run in runs)
    weights = [value for value in last.parameters()
               if value.ndim == 4 and value.shape[1] > 1 and value.shape[2] > 1]
    assert weights and all(
        value.is_contiguous(memory_format=torch.channels_last) for value in weights)
    for value, wanted in zip(last.parameters(), first.parameters()):
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('first', [False, True])
def test_the_memory_format_can_change_at_a_resume(first, tmp_path):
    fused = dict(optim_wrapper__optimizer=dict(type='Adam', lr=1e-3, fused=True))

    def trained(folder, stop, **options):
        return toy.train(toy.restorer_config(
            tmp_path / folder, train_cfg__max_iters=stop, **fused, **options))

    trained('changed', 3, channels_last=first)
    changed = trained('changed', 5, channels_last=not first, resume=True)
    same = trained('same', 5)
    assert changed.iter == 5
    for value, wanted in zip(changed.model.parameters(), same.model.parameters()):
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-4)
    load_backbone(tmp_path / 'changed' / 'iter_3.pth')
