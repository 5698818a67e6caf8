"""Resume after damage, with changed settings and malformed checkpoints."""

import errno
import random
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from fdsr.engine.launch import build_runner
from fdsr.engine.runner import FaceRunner
from fdsr.engine.work_dir import POINTER, CannotResume, Checkpoints
from fdsr.registry import HOOKS, MODELS
from fdsr.utils.locks import FolderInUse, folder_lock
from fdsr.weights import RefusedCheckpointError, safe_load
from tests import toy

TINY = dict(type='fdsr.CompactSR', scale=toy.SCALE, channels=4, blocks=1,
            stage_channels=(4, 4), reduction=2)


@MODELS.register_module(force=True)
class NoisyLoss(nn.Module):
    """A pixel loss that draws random numbers."""

    def forward(self, sr, gt, *args, **kwargs):
        return ((sr - gt + 0.1 * torch.rand_like(sr))**2).mean()


@HOOKS.register_module(force=True)
class Interrupt(Hook):
    """Ends a run in an iteration, as a kill does."""

    priority = 'LOWEST'

    def __init__(self, at):
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.at:
            raise KeyboardInterrupt


def config_of(folder, **changes):
    return toy.restorer_config(folder, TINY, **changes)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory with iter_3.pth and iter_6.pth."""
    folder = tmp_path_factory.mktemp('trained')
    toy.train(config_of(folder, train_cfg__max_iters=6, log_level='INFO'))
    return folder


@pytest.fixture
def work(trained, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / 'copy')


def flip(path, rng):
    """Flips a bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def damage(path):
    """Flips a bit in the middle of the largest record."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


# Which checkpoint is taken

@pytest.mark.parametrize('pointer', [
    None, b'', b'\xff\xfe\x00\x00', b'/elsewhere/iter_6.pth', b'iter_9.pth',
    b'iter_3.pth'])
def test_the_newest_checkpoint_is_taken_whatever_the_pointer_says(work, pointer):
    (work / POINTER).unlink()
    if pointer is not None:
        (work / POINTER).write_bytes(pointer)
    assert Checkpoints(work, work).newest_complete(print) == work / 'iter_6.pth'


def test_a_kill_before_the_last_pointer_is_made_good(work):
    """The rerun has nothing to train, so no later save would write the pointer."""
    (work / POINTER).write_text('iter_3.pth')
    config = config_of(work, train_cfg__max_iters=6, resume=True)
    build_runner(config).train()
    assert (work / POINTER).read_text() == 'iter_6.pth'


def test_an_unknown_argument_of_the_checkpoint_hook_is_refused():
    with pytest.raises(TypeError, match="by_eopch.*expected one of .*by_epoch"):
        HOOKS.build(dict(type='fdsr.CheckpointHook', by_eopch=True))


def test_a_copied_work_dir_resumes_from_its_own_files(trained, work):
    (work / POINTER).write_text(str(trained / 'iter_6.pth'))  # as earlier versions
    runner = toy.train(config_of(work, train_cfg__max_iters=7, resume=True))
    assert runner._load_from == str(work / 'iter_6.pth') and runner.iter == 7
    assert (work / POINTER).read_text() == 'iter_7.pth'
    assert not (trained / 'iter_7.pth').exists()


def test_a_damaged_checkpoint_is_skipped_and_named(work):
    messages = []
    damage(work / 'iter_6.pth')
    found = Checkpoints(work, work).newest_complete(messages.append)
    assert found == work / 'iter_3.pth'
    assert 'iter_6.pth' in messages[0] and 'iter_3.pth' in messages[0]
    (work / 'iter_3.pth').write_bytes((work / 'iter_3.pth').read_bytes()[:-500])
    with pytest.raises(CannotResume, match=r'(?s)iter_6\.pth.*iter_3\.pth.*--resume'):
        toy.train(config_of(work, resume='auto'))


def test_a_lost_checkpoint_is_an_error_and_none_so_far_is_not(work, tmp_path):
    for path in work.glob('*.pth'):
        path.unlink()
    for _ in range(2):  # with the pointer, and with the log alone
        with pytest.raises(CannotResume, match='has no checkpoint iter_N.pth'):
            Checkpoints(work, work).newest_complete(print)
        (work / POINTER).unlink(missing_ok=True)
    assert Checkpoints(tmp_path / 'new', tmp_path / 'new').newest_complete(
        print) is None


def test_after_a_resume_from_an_earlier_checkpoint_later_ones_are_abandoned(work):
    toy.train(config_of(work, train_cfg__max_iters=4, resume=True,
                        load_from=str(work / 'iter_3.pth')))
    assert Checkpoints(work, work).newest_complete(print) == work / 'iter_4.pth'


def test_without_a_checkpoint_an_automatic_resume_starts_from_load_from(
        trained, tmp_path):
    runner = toy.train(config_of(
        tmp_path, resume='auto', load_from=str(trained / 'iter_6.pth'),
        optim_wrapper__optimizer__lr=0.0, train_cfg__max_iters=1))
    expected = safe_load(trained / 'iter_6.pth')['state_dict']
    assert runner.iter == 1 and equal(dict(runner.model.state_dict()), dict(expected))


# Writing

def test_the_old_checkpoint_is_deleted_after_the_new_one_is_complete(
        tmp_path, monkeypatch):
    seen = []
    save = FaceRunner.save_checkpoint

    def saving(self, out_dir, filename, **options):
        seen.append(sorted(path.name for path in tmp_path.glob('*.pth')))
        if len(seen) == 3:
            Path(out_dir, filename).write_bytes(b'half')
            raise OSError(errno.ENOSPC, 'No space left on device')
        save(self, out_dir, filename, **options)

    monkeypatch.setattr(FaceRunner, 'save_checkpoint', saving)
    config = config_of(tmp_path, train_cfg__max_iters=9,
                       default_hooks__checkpoint__max_keep_ckpts=1)
    with pytest.raises(OSError, match=r'cannot write .*iter_9\.pth'):
        toy.train(config)
    assert seen == [[], ['iter_3.pth'], ['iter_6.pth']]
    assert [path.name for path in tmp_path.glob('*iter_*')] == ['iter_6.pth']
    assert (tmp_path / POINTER).read_text() == 'iter_6.pth'


def test_leftovers_of_a_kill_are_removed(work):
    for name in ('iter_9.pth.part-0123abcd', 'last_checkpoint.part-fdsr-0123abcd',
                 'best_a_iter_3.pth.part-0'):
        (work / name).touch()
    (work / 'iter_6.pth.mine').touch()
    toy.train(config_of(work, train_cfg__max_iters=7, resume=True))
    assert not list(work.glob('*.part-*')) and (work / 'iter_6.pth.mine').exists()


def test_a_flipped_bit_is_refused_or_changes_nothing(trained, tmp_path):
    whole, path = safe_load(trained / 'iter_6.pth'), tmp_path / 'flipped.pth'
    rng, refused = random.Random(0), 0
    for _ in range(40):
        shutil.copyfile(trained / 'iter_6.pth', path)
        flip(path, rng)
        try:
            content = safe_load(path)
        except RefusedCheckpointError:
            refused += 1
        else:
            assert equal(content, whole)
    assert refused > 20


def test_one_training_at_a_time_uses_a_work_dir(tmp_path):
    with folder_lock(tmp_path), pytest.raises(FolderInUse, match='in use by another'):
        toy.train(config_of(tmp_path))
    assert not list(tmp_path.glob('2*')), 'the second run wrote logs'
    runner = build_runner(config_of(tmp_path))
    with folder_lock(tmp_path), pytest.raises(FolderInUse):
        runner.train()


# Exact resume

@pytest.mark.slow
@pytest.mark.parametrize('changes', [
    dict(), dict(train_dataloader__num_workers=2), dict(
        train_dataloader__num_workers=1, train_dataloader__persistent_workers=True),
    dict(optim_wrapper__accumulative_counts=2)], ids=[
        'no workers', 'workers', 'persistent workers', 'accumulation'])
def test_resume_is_exact_if_a_loss_draws_random_numbers(changes, tmp_path):
    """The run is interrupted between a checkpoint and its validation."""
    changes = dict(
        model__pixel_loss=dict(type='NoisyLoss'), train_cfg__max_iters=6,
        train_cfg__val_interval=3, param_scheduler=dict(
            type='LinearLR', start_factor=1.0, end_factor=0.1, by_epoch=False),
        default_hooks__param_scheduler=dict(type='ParamSchedulerHook'), **changes)
    toy.train(config_of(tmp_path / 'whole', **changes))
    with pytest.raises(KeyboardInterrupt):
        toy.train(config_of(tmp_path / 'parts', **changes,
                            custom_hooks=[dict(type='Interrupt', at=3)]))
    toy.train(config_of(tmp_path / 'parts', resume=True, **changes))
    whole, parts = (safe_load(tmp_path / name / 'iter_6.pth')
                    for name in ('whole', 'parts'))
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert equal(whole[key], parts[key]), key
    for key in ('consumed', 'random', 'gradients'):
        assert equal(whole['fdsr_resume'][key], parts['fdsr_resume'][key]), key


# Changed settings

def rates(runner):
    return [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]


def test_a_new_learning_rate_schedule_and_length_take_effect(work, tmp_path, capfd):
    changes = dict(
        train_cfg__max_iters=8, optim_wrapper__optimizer__lr=2e-4,
        optim_wrapper__accumulative_counts=2, train_dataloader__batch_size=3,
        param_scheduler=dict(type='LinearLR', start_factor=1.0, end_factor=0.1,
                             by_epoch=False),
        default_hooks__param_scheduler=dict(type='ParamSchedulerHook'))
    resumed = toy.train(config_of(work, resume=True, **changes))
    printed = ''.join(capfd.readouterr())
    whole = toy.train(config_of(tmp_path / 'whole', **changes))
    assert resumed.iter == 8 and rates(resumed) == rates(whole) == pytest.approx(
        [2e-5])
    for change in ('optim_wrapper.optimizer.lr was 0.001 and is now 0.0002',
                   'train_dataloader.batch_size was 2 and is now 3',
                   'train_cfg.max_iters was 6 and is now 8',
                   'optim_wrapper.accumulative_counts was not set and is now 2'):
        assert change in printed


@pytest.mark.parametrize('change, message', [
    (dict(randomness__seed=2), 'randomness.seed was 1 and is now 2'),
    (dict(optim_wrapper__optimizer=dict(type='SGD', lr=1e-3, _delete_=True)),
     "optim_wrapper.optimizer.type was 'Adam' and is now 'SGD'"),
    (dict(optim_wrapper__optimizer__amsgrad=True), 'max_exp_avg_sq.*optim_wrapper'),
    (dict(model__init_from='x'), None)])
def test_settings_that_cannot_change_are_refused_by_name(work, change, message):
    if message is None:  # a path that exists
        change = dict(model__init_from=str(work / 'iter_3.pth'))
        message = 'model.init_from was not set'
    with pytest.raises(CannotResume, match=rf'iter_6\.pth.*{message}.*load_from'):
        toy.train(config_of(work, resume=True, train_cfg__max_iters=7, **change))


def test_another_optimizer_is_named_for_earlier_checkpoints(work):
    content = safe_load(work / 'iter_6.pth')
    del content['fdsr_resume']['settings'], content['fdsr_resume']['random_of_others']
    torch.save(content, work / 'iter_6.pth')
    change = dict(optim_wrapper__optimizer=dict(type='SGD', lr=1e-3, _delete_=True))
    with pytest.raises(CannotResume, match='SGD .*exp_avg.*optim_wrapper'):
        toy.train(config_of(work, resume=True, train_cfg__max_iters=7, **change))
    assert toy.train(config_of(work, resume=True, train_cfg__max_iters=7)).iter == 7


# Malformed checkpoints

def put(content, field, value):
    *path, last = field
    for key in path:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize('field, value', [
    (['optimizer'], {}), (['optimizer'], [1]), (['optimizer', 'state'], 'text'),
    (['optimizer', 'state', 0], {'exp_avg': 1}), (['optimizer', 'param_groups'], []),
    (['optimizer', 'state', 0, 'exp_avg'], torch.zeros(7)),
    (['optimizer', 'state', 0, 'exp_avg'], 'text'),
    (['optimizer', 'state', 0, 'exp_avg_sq', ...], float('nan')),
    (['optimizer', 'param_groups', 0, 'params'], [0, 0]),
    (['message_hub'], None), (['message_hub', 'log_scalars'], [1]),
    (['message_hub', 'runtime_info', 'keep_ckpt_ids'], ['../../x']),
    (['message_hub', 'log_scalars', 'train/loss'], {'__history_buffer__': [1]}),
    (['meta', 'iter'], 'six'), (['meta', 'epoch'], None),
    (['fdsr_resume', 'consumed'], -1), (['fdsr_resume', 'random', 'torch'], 'text'),
    (['fdsr_resume', 'random'], None), (['fdsr_resume'], 5),
    (['fdsr_resume', 'settings'], 'text')],
    ids=lambda value: '.'.join(map(str, value)) if isinstance(value, list) else '')
def test_a_malformed_field_is_named(work, field, value):
    content = safe_load(work / 'iter_6.pth')
    put(content, field, value)
    torch.save(content, work / 'iter_6.pth')
    with pytest.raises(CannotResume, match=rf'iter_6\.pth.*{field[0]}'):
        toy.train(config_of(work, resume=True, train_cfg__max_iters=7))


ACCUMULATED = dict(optim_wrapper__accumulative_counts=2, train_cfg__max_iters=4)


@pytest.fixture(scope='module')
def accumulated(tmp_path_factory):
    """A checkpoint between two steps of the optimizer."""
    folder = tmp_path_factory.mktemp('accumulated')
    toy.train(config_of(folder, **ACCUMULATED))
    return folder / 'iter_3.pth'


@pytest.mark.parametrize('gradients', ['text', {}, {'': []}, {'': ['text'] * 99}])
def test_malformed_gradients_are_named(accumulated, tmp_path, gradients):
    content = safe_load(accumulated)
    put(content, ['fdsr_resume', 'gradients'], gradients)
    torch.save(content, tmp_path / 'changed.pth')
    with pytest.raises(CannotResume, match=r'changed\.pth.*fdsr_resume\.gradients'):
        toy.train(config_of(tmp_path, resume=True, **ACCUMULATED,
                            load_from=str(tmp_path / 'changed.pth')))


def test_a_scheduler_of_validation_results_is_resumed(tmp_path):
    changes = dict(
        train_cfg__max_iters=6, train_cfg__val_interval=1, param_scheduler=dict(
            type='ReduceOnPlateauLR', monitor='generator/PSNR', rule='greater',
            patience=0, threshold=100.0, factor=0.5),
        default_hooks__param_scheduler=dict(type='ParamSchedulerHook'))
    whole = toy.train(config_of(tmp_path / 'whole', **changes))
    with pytest.raises(KeyboardInterrupt):
        toy.train(config_of(tmp_path / 'parts', **changes,
                            custom_hooks=[dict(type='Interrupt', at=3)]))
    with pytest.raises(CannotResume, match='optimizer.lr was'):
        toy.train(config_of(tmp_path / 'parts', resume=True, **changes,
                            optim_wrapper__optimizer__lr=0.5))
    parts = toy.train(config_of(tmp_path / 'parts', resume=True, **changes))
    assert rates(whole) == rates(parts) and rates(whole)[0] < 1e-3
    assert equal(dict(whole.model.state_dict()), dict(parts.model.state_dict()))
