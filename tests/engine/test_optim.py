"""Accumulation, clipping and mixed precision, of one network and of several."""

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from fdsr.engine.optim import AutocastOptimWrapper, GroupOptimWrapperConstructor
from fdsr.registry import HOOKS, MODELS, OPTIM_WRAPPERS
from tests import toy

KINDS = ['restorer', 'distiller']


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


@MODELS.register_module(force=True)
class PlainBackbone(nn.Module):
    """A backbone whose output depends on its weights alone: no spectral norm."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 6, 3, padding=1)
        self.up = nn.Upsample(scale_factor=toy.SCALE)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, lr):
        return self.last(self.up(self.head(lr)))


def wrapper(lr=3e-4, **settings):
    return {**dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr)), **settings}


def config_of(kind, folder, teacher, optim, backbone=None, **changes):
    """A run whose optimisers are all as given."""
    backbone = backbone or dict(type='PlainBackbone')
    if kind == 'restorer':
        config = toy.restorer_config(folder, backbone, **changes)
        config.optim_wrapper = optim
        return config
    tap = 'last:input' if backbone['type'] == 'PlainBackbone' else None
    config = toy.distiller_config(
        folder, teacher,
        model__feature_losses=[dict(type='fdsr.AdversarialFeatureLoss', student=tap)],
        model__discriminator=dict(type='fdsr.FeatureDiscriminator', base_channels=8,
                                  depth=2, norm='none'), **changes)
    config.model.student = backbone
    config.optim_wrapper = dict(constructor='fdsr.GroupOptimWrapperConstructor',
                                student=optim, discriminator=optim)
    return config


def trained(model):
    """The groups of parameters that are trained, by the name of their optimiser."""
    groups = (model.trainable_groups() if hasattr(model, 'trainable_groups') else
              {'generator': [model.generator]})
    return {name: {f'{index}.{key}': value.detach().clone()
                   for index, module in enumerate(modules)
                   for key, value in module.named_parameters() if value.requires_grad}
            for name, modules in groups.items()}


def start_of(config):
    """The weights that a run starts with."""
    from mmengine.runner import Runner, set_random_seed
    set_random_seed(1)
    return trained(Runner.from_cfg(config.copy()).model)


@pytest.mark.parametrize('kind', KINDS)
def test_two_small_batches_are_a_large_one(kind, tmp_path, teacher):
    small = toy.train(config_of(
        kind, tmp_path / 'small', teacher, wrapper(accumulative_counts=2), batch_size=2,
        train_cfg__max_iters=4))
    large = toy.train(config_of(
        kind, tmp_path / 'large', teacher, wrapper(), batch_size=4,
        train_cfg__max_iters=2))
    start = start_of(config_of(kind, tmp_path / 'start', teacher, wrapper()))
    found, expected = trained(small.model), trained(large.model)
    for group, parameters in expected.items():
        for name, value in parameters.items():
            torch.testing.assert_close(found[group][name], value, rtol=0, atol=1e-6)
        most = max((value - start[group][name]).abs().max()
                    for name, value in parameters.items())
        assert most > 3e-5, 'the runs have changed nothing'


@HOOKS.register_module(force=True)
class WatchGroups(Hook):
    """Keeps a copy of what is trained after each iteration."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(trained(runner.model))


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_moves_until_enough_is_accumulated(kind, tmp_path, teacher):
    config = config_of(
        kind, tmp_path, teacher, wrapper(accumulative_counts=3),
        custom_hooks=[dict(type='WatchGroups')], train_cfg__max_iters=5)
    watch = next(hook for hook in toy.train(config).hooks
                 if isinstance(hook, WatchGroups))
    seen = [start_of(config), *watch.seen]
    # after three iterations, and at the end on what is left
    assert [moved(*pair) for pair in zip(seen, seen[1:])] == [
        False, False, True, False, True]


def moved(before, after):
    """Whether all groups have moved, or none; no other case is right."""
    found = {not torch.equal(value, before[group][name])
             for group, parameters in after.items()
             for name, value in parameters.items()}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_are_clipped_in_each_group(kind, tmp_path, teacher):
    optim = wrapper(lr=1.0, clip_grad=dict(max_norm=1e-3))
    config = config_of(kind, tmp_path, teacher, optim, train_cfg__max_iters=1)
    start = start_of(config)
    end = trained(toy.train(config).model)
    assert set(end) == ({'generator'} if kind == 'restorer' else
                        {'student', 'discriminator'})
    for group, parameters in end.items():
        step = torch.cat([(value - start[group][name]).flatten()
                          for name, value in parameters.items()])
        assert float(step.norm()) == pytest.approx(1e-3, rel=1e-2), group


class Precision:
    """Notes the dtype of what some modules return while they train."""

    def __init__(self, monkeypatch, *classes):
        self.seen = {}
        for kind in classes:
            monkeypatch.setattr(kind, 'forward', self._noting(kind, kind.forward))

    def _noting(self, kind, forward):
        def noted(module, *args, **kwargs):
            result = forward(module, *args, **kwargs)
            if torch.is_grad_enabled():
                self.seen.setdefault(kind.__name__, set()).add(result.dtype)
            return result
        return noted


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('instructions', [True, False], ids=['bf16', 'none'])
def test_bf16_autocast_trains_on_a_cpu(kind, instructions, tmp_path, teacher,
                                       monkeypatch):
    from fdsr.models.backbones.decoder import StyledUpStage
    from fdsr.models.discriminators import FeatureDiscriminator
    monkeypatch.setattr('fdsr.models.autocast.has_bf16', lambda: instructions)
    fp32 = config_of(kind, tmp_path / 'fp32', teacher, wrapper(), toy.STUDENT)
    expected = toy.train(fp32).model
    precision = Precision(monkeypatch, StyledUpStage, FeatureDiscriminator)
    bf16 = config_of(kind, tmp_path / 'bf16', teacher,
                     wrapper(type='fdsr.AutocastOptimWrapper'), toy.STUDENT)
    runner = toy.train(bf16)
    assert set(precision.seen) == {'StyledUpStage'} | (
        {'FeatureDiscriminator'} if kind == 'distiller' else set())
    assert all(seen == {torch.bfloat16} for seen in precision.seen.values())
    assert all(value.dtype == torch.float32 for value in runner.model.parameters())
    start, theirs = start_of(fp32), trained(expected)
    for group, parameters in trained(runner.model).items():
        ours, reference = (
            torch.cat([(values[name] - start[group][name]).flatten()
                       for name in parameters]) for values in (parameters,
                                                               theirs[group]))
        assert torch.isfinite(ours).all()
        # the same direction as in fp32, within bf16's three digits
        assert torch.cosine_similarity(ours, reference, dim=0) > 0.98


def test_only_bf16_goes_without_a_scaler():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    with pytest.raises(ValueError, match="float16.*AmpOptimWrapper"):
        AutocastOptimWrapper('float16', optimizer=optimizer)
    assert OPTIM_WRAPPERS.get('fdsr.AutocastOptimWrapper') is AutocastOptimWrapper


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=(
    'fp16 with a scaler needs a GPU: mmengine\'s AmpOptimWrapper refuses a CPU'))
@pytest.mark.parametrize('kind', KINDS)
def test_fp16_trains_on_a_gpu(kind, tmp_path, teacher):
    start = start_of(config_of(kind, tmp_path, teacher, wrapper(), toy.STUDENT))
    runner = toy.train(config_of(
        kind, tmp_path, teacher, wrapper(type='AmpOptimWrapper'), toy.STUDENT,
        train_cfg__max_iters=4))
    for group, parameters in trained(runner.model).items():
        for value in parameters.values():
            assert value.dtype == torch.float32 and torch.isfinite(value).all()
        assert any(not torch.equal(value, start[group][name])
                   for name, value in parameters.items()), group


def test_each_group_needs_an_optimiser(teacher):
    model = MODELS.build(toy.distiller_config('unused', teacher).model)
    with pytest.raises(ValueError, match='no optimizer for discriminator'):
        GroupOptimWrapperConstructor(dict(student=wrapper()))(model)
    with pytest.raises(ValueError, match='does not support paramwise_cfg'):
        GroupOptimWrapperConstructor(dict(student=wrapper()), dict(norm_decay_mult=0))


def test_frozen_parts_have_no_optimiser(teacher):
    model = MODELS.build(toy.distiller_config('unused', teacher).model)
    wrappers = GroupOptimWrapperConstructor(
        dict(student=wrapper(), discriminator=wrapper()))(model)
    optimised = {id(parameter) for one in wrappers.values()
                 for group in one.param_groups for parameter in group['params']}
    names = {name.rpartition('.')[0].partition('.')[0]
             for name, parameter in model.named_parameters()
             if id(parameter) in optimised}
    assert names == {'student', 'discriminator'}
    assert not any(id(parameter) in optimised
                   for parameter in model.student.encoder.parameters())


def test_adafactor_is_that_of_transformers(tmp_path):
    transformers = pytest.importorskip('transformers')
    config = toy.restorer_config(
        tmp_path, dict(type='PlainBackbone'), train_cfg__max_iters=1,
        optim_wrapper__optimizer=dict(
            type='Adafactor', lr=1e-3, relative_step=False, _delete_=True))
    optimizer = toy.train(config).optim_wrapper.optimizer
    assert isinstance(optimizer, transformers.Adafactor)
