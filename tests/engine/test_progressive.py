"""Progressive training: schedule, exact resume, checkpoints of each step."""

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.engine.hooks import ProgressiveHook
from fdsr.engine.work_dir import CannotResume
from fdsr.models.files.checkpoints import save_backbone
from fdsr.models.restorers import ProgressiveRestorer
from fdsr.registry import MODELS
from fdsr.weights import safe_load
from tests import toy

HOOK = dict(type='fdsr.ProgressiveHook', starts=[0, 2], fade=2)
AVERAGE = dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.1)
HEATMAPS = dict(type='fdsr.HeatmapNet', size=toy.SIZE, channels=4, depth=1)


@pytest.fixture
def landmarks(tmp_path):
    """The file of an untrained landmark network."""
    path = tmp_path / 'landmarks.pth'
    save_backbone(MODELS.build(HEATMAPS), HEATMAPS, path)
    return str(path)


def config_of(folder, landmarks, hook=HOOK, **changes):
    """Two steps, 8 to 32 px, with all losses but the perceptual one."""
    settings = dict(
        model=dict(
            type='fdsr.ProgressiveRestorer',
            generator=dict(type='fdsr.ProgressiveFSR', scale=toy.SCALE, channels=8),
            landmarks=landmarks,
            attention_loss=dict(type='fdsr.FacialAttentionLoss', loss_weight=50.0),
            adversarial_loss=dict(type='fdsr.WassersteinLoss', loss_weight=0.01),
            discriminator=dict(channels=8)),
        optim_wrapper=dict(
            constructor='fdsr.GroupOptimWrapperConstructor', generator=toy.adam(),
            discriminator=toy.adam()),
        custom_hooks=[hook], **toy.loaders(), **toy.runtime(folder))
    return toy.merged(settings, {'train_cfg.val_begin': 3, **changes})


def test_the_schedule_of_step_and_alpha():
    hook = ProgressiveHook(starts=[0, 10, 20], fade=4)
    assert [hook.progress_at(iteration) for iteration in (
        0, 9, 10, 11, 13, 14, 19, 20, 23, 99)] == [
        (1, 1.0), (1, 1.0), (2, 0.25), (2, 0.5), (2, 1.0), (2, 1.0), (2, 1.0),
        (3, 0.25), (3, 1.0), (3, 1.0)]
    assert ProgressiveHook([0, 5], fade=0).progress_at(5) == (2, 1.0)


@pytest.mark.parametrize('finished', [1, 3])
def test_a_run_that_is_stopped_inside_a_step_is_resumed_bit_equal(
        finished, tmp_path, landmarks, monkeypatch):
    """Iteration 3 is in the middle of the fade-in of step 2; so is the average."""
    def config(folder, **changes):
        settings = config_of(tmp_path / folder, landmarks, train_cfg__max_iters=6,
                             **changes)
        settings.custom_hooks = [HOOK, AVERAGE]
        return settings

    whole = toy.train(config('whole'))
    step, calls = ProgressiveRestorer.train_step, []

    def stopped(self, data, optim_wrapper):
        calls.append(1)
        log = step(self, data, optim_wrapper)
        if len(calls) > finished:  # after the update, before the checkpoint
            raise KeyboardInterrupt
        return log

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ProgressiveRestorer, 'train_step', stopped)
        toy.train(config('parts', default_hooks__checkpoint__interval=1))
    resumed = toy.train(config('parts', resume=True))
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert any(key.startswith('generator_ema.') for key in expected)
    assert resumed.iter == 6 and expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    for name, wrapper in whole.optim_wrapper.items():
        states = [one.optimizer.state_dict()['state']
                  for one in (wrapper, resumed.optim_wrapper[name])]
        assert states[0].keys() == states[1].keys()
        for index, state in states[0].items():
            assert all(torch.equal(value, states[1][index][key])
                       for key, value in state.items())


def test_checkpoints_describe_their_step(tmp_path, landmarks):
    toy.train(config_of(tmp_path / 'run', landmarks, train_cfg__max_iters=4,
                        default_hooks__checkpoint__interval=1))
    progress = []
    for iteration in (1, 2, 3, 4):
        content = safe_load(tmp_path / f'run/iter_{iteration}.pth')
        config = content['meta']['fdsr']['backbones']['generator']
        progress.append((config['step'], config['alpha']))
        # the landmark network is referred to, not copied
        assert not any(key.startswith('landmarks.') for key in content['state_dict'])
        assert 'landmarks' in content['meta']['fdsr']['external']
    assert progress == [(1, 1.0), (1, 1.0), (2, 0.5), (2, 1.0)]
    lr = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match='at step 1 of 2: its image is ×2, expected'):
        load_backbone(tmp_path / 'run/iter_2.pth')(lr)
    assert load_backbone(tmp_path / 'run/iter_4.pth')(lr).shape == (1, 3, 32, 32)


def test_each_step_trains_its_own_layers(tmp_path, landmarks):
    config = config_of(tmp_path / 'run', landmarks, train_cfg__max_iters=2)
    torch.manual_seed(1)
    runner = toy.train(config)
    state = runner.optim_wrapper['generator'].optimizer.state
    trained = {name for name, value in runner.model.generator.named_parameters()
               if value in state}
    assert any(name.startswith('steps.0') for name in trained)
    assert not any(name.startswith(('steps.1', 'to_rgb.1')) for name in trained)
    frozen = {name for name, value in runner.model.landmarks.named_parameters()
              if value in state}
    assert not frozen and not runner.model.landmarks.training


def test_all_losses_are_logged(tmp_path, landmarks):
    runner = toy.train(config_of(tmp_path / 'run', landmarks, train_cfg__max_iters=1))
    scalars = runner.message_hub.log_scalars
    assert {f'train/{name}' for name in (
        'loss', 'loss_pixel', 'loss_attention', 'loss_adversarial', 'loss_d',
        'd_penalty', 'd_distance', 'step', 'alpha')} <= set(scalars)


def test_the_moving_average_follows_the_steps(tmp_path, landmarks):
    config = config_of(tmp_path / 'run', landmarks, train_cfg__max_iters=3)
    config.custom_hooks = [HOOK, AVERAGE]
    runner = toy.train(config)
    assert runner.model.generator_ema.step == 2
    assert runner.model.generator_ema.alpha == 0.5
    loaded = load_backbone(tmp_path / 'run/iter_3.pth')
    assert (loaded.step, loaded.alpha) == (2, 0.5)


def test_a_checkpoint_of_another_step_cannot_be_resumed(tmp_path, landmarks):
    toy.train(config_of(tmp_path / 'run', landmarks, train_cfg__max_iters=3))
    other = dict(HOOK, starts=[0, 5], fade=1)
    with pytest.raises(CannotResume, match='a checkpoint of step 2, but the schedule '
                                           'is at step 1 after 3 iterations'):
        toy.train(config_of(tmp_path / 'run', landmarks, other, resume=True,
                            train_cfg__max_iters=6))


def test_validation_waits_for_the_last_step(tmp_path, landmarks):
    early = {'train_cfg.max_iters': 4, 'train_cfg.val_interval': 2}
    with pytest.raises(ValueError, match='val_begin: expected more than 2'):
        toy.train(config_of(tmp_path / 'early', landmarks,
                            **{**early, 'train_cfg.val_begin': 1}))
    runner = toy.train(config_of(tmp_path / 'late', landmarks, **early))
    assert runner.val_loop.evaluator.num_images == 3


@pytest.mark.parametrize('options, message', [
    (dict(starts=[1, 2], fade=0), 'begin with 0'),
    (dict(starts=[0, 5, 5], fade=0), 'ascending'),
    (dict(starts=[], fade=0), 'ascending'),
    (dict(starts=[0, 5, 9], fade=5), 'fade: expected 0 to 4'),
    (dict(starts=[0, 5], fade=-1), 'fade: expected 0')])
def test_impossible_schedules_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ProgressiveHook(**options)


def test_a_schedule_for_another_network_is_refused(tmp_path, landmarks):
    with pytest.raises(ValueError, match='3 starts for a network of 2 steps'):
        toy.train(config_of(tmp_path, landmarks, dict(HOOK, starts=[0, 2, 4])))
    with pytest.raises(ValueError, match='FaceRestorer has no steps'):
        toy.train(toy.restorer_config(tmp_path, custom_hooks=[HOOK]))
