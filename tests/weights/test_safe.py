"""Checkpoints are loaded without running what is in them, by every road."""

import logging
import pickle

import pytest
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from fdsr.weights import (
    RefusedCheckpointError,
    announce_random,
    install_safe_loader,
    safe_load,
    weights_follow,
)
from tests.hostile import Code


@pytest.fixture
def hostile(tmp_path):
    """A checkpoint, and the folder that appears if its code is run."""
    path, trace = tmp_path / 'hostile.pth', tmp_path / 'pwned'
    torch.save({'state_dict': {}, 'meta': Code(trace)}, path)
    return path, trace


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.pth'
    torch.save({'state_dict': {'w': torch.arange(3.)}, 'meta': {'epoch': 2}}, path)
    return path


def check_refusal(error, path):
    for part in (str(path), 'weights_only=True', 'mkdir', 'save only its state dict'):
        assert part in str(error.value)
    # torch's advice to switch the protection off is not passed on.
    assert 'weights_only=False' not in str(error.value)


def test_safe_load_reads_tensors_and_plain_data(good):
    found = safe_load(good)
    assert torch.equal(found['state_dict']['w'], torch.arange(3.))
    assert found['meta'] == {'epoch': 2}


def test_safe_load_refuses_code(hostile):
    path, trace = hostile
    with pytest.raises(RefusedCheckpointError) as error:
        safe_load(path)
    check_refusal(error, path)
    assert not trace.exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint at all', b'PK\x03\x04xx'])
def test_safe_load_names_a_broken_file(tmp_path, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(RefusedCheckpointError, match='broken.pth'):
        safe_load(path)


@pytest.mark.parametrize('kept', [10, -100, -1])
def test_safe_load_names_a_file_that_was_cut_off(tmp_path, good, kept):
    path = tmp_path / 'cut.pth'
    path.write_bytes(good.read_bytes()[:kept])
    with pytest.raises(RefusedCheckpointError, match='cut.pth.*fetch it again'):
        safe_load(path)


def test_safe_load_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        safe_load(tmp_path / 'nothing.pth')


def test_mmengine_loads_good_files_after_installing(good):
    install_safe_loader()
    found = CheckpointLoader.load_checkpoint(str(good), map_location='cpu')
    assert torch.equal(found['state_dict']['w'], torch.arange(3.))


def test_mmengines_local_scheme_refuses_code(hostile):
    install_safe_loader()
    path, trace = hostile
    with pytest.raises(RefusedCheckpointError) as error:
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    check_refusal(error, path)
    assert not trace.exists()


def test_not_even_torchs_own_switch_opens_it(hostile, monkeypatch):
    """TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is a common workaround with mmengine."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    install_safe_loader()
    path, trace = hostile
    for load in (safe_load, CheckpointLoader.load_checkpoint):
        with pytest.raises(RefusedCheckpointError):
            load(str(path))
    assert not trace.exists()


def test_a_scheme_that_asks_for_unsafe_loading_does_not_get_it(hostile, monkeypatch):
    """Later mmengine says weights_only=False; so may a scheme registered later."""
    install_safe_loader()
    path, trace = hostile
    monkeypatch.setattr(
        CheckpointLoader, '_schemes', CheckpointLoader._schemes.copy())

    @CheckpointLoader.register_scheme(prefixes='unsafe://')
    def load_from_unsafe(filename, map_location):
        return torch.load(
            filename[len('unsafe://'):], map_location, pickle, weights_only=False)

    with pytest.raises(RefusedCheckpointError) as error:
        CheckpointLoader.load_checkpoint(f'unsafe://{path}')
    check_refusal(error, f'unsafe://{path}')
    assert not trace.exists()


def test_the_http_scheme_refuses_code(hostile, monkeypatch, tmp_path):
    """torch.hub passes weights_only=False of its own; the file is 'cached' here."""
    install_safe_loader()
    path, trace = hostile
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    path.rename(folder / path.name)
    with pytest.raises(RefusedCheckpointError, match='example.invalid'):
        CheckpointLoader.load_checkpoint(f'https://example.invalid/{path.name}')
    assert not trace.exists()


def test_a_broken_file_is_named_through_mmengine(tmp_path, good):
    install_safe_loader()
    path = tmp_path / 'cut.pth'
    path.write_bytes(good.read_bytes()[:-100])
    with pytest.raises(RefusedCheckpointError, match='cut.pth'):
        CheckpointLoader.load_checkpoint(str(path))


def test_installing_twice_wraps_once_and_leaves_torch_alone(good):
    install_safe_loader()
    once = CheckpointLoader.load_checkpoint.__func__
    torch_load = torch.load
    install_safe_loader()
    assert CheckpointLoader.load_checkpoint.__func__ is once
    CheckpointLoader.load_checkpoint(str(good))
    assert torch.load is torch_load


def test_the_road_of_the_runner_is_covered(hostile):
    """Runner.load_checkpoint and resume, and Pretrained initialisers, go here."""
    install_safe_loader()
    with pytest.raises(RefusedCheckpointError):
        mmengine_checkpoint._load_checkpoint(str(hostile[0]))


def test_random_weights_are_announced_loudly(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmengine.logging.print_log',
        lambda message, logger, level: said.append((message, level)))
    announce_random('vgg16 of a test')
    (message, level), = said
    assert message.startswith('RANDOM WEIGHTS: vgg16 of a test')
    assert level == logging.WARNING


def test_what_a_file_will_fill_is_not_announced(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmengine.logging.print_log', lambda *args, **kwargs: said.append(args))
    with weights_follow():
        announce_random('vgg16 of a test')
    assert not said
    announce_random('vgg16 of a test')
    assert len(said) == 1
