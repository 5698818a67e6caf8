"""DFDNet's release, converted: equal to a plain computation, or refused."""

import sys

import numpy as np
import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.interchange.conversion import convert, dfdnet
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.registry import MODELS
from fdsr.weights import safe_load, sha256_of, weights_follow
from tests.conftest import SHARED
from tests.interchange.conversion import official_dfdnet as official

BOXES = [
    # odd coordinates, boxes that overlap, one that reaches over the border
    dict(left_eye=(131, 183, 219, 262), right_eye=(275, 180, 377, 265),
         nose=(221, 240, 291, 331), mouth=(180, 301, 333, 437)),
    dict(left_eye=(100, 201, 150, 249), right_eye=(299, 191, 341, 240),
         nose=(201, 200, 259, 301), mouth=(170, 380, 350, 530)),
]


@pytest.fixture(scope='module')
def content():
    return official.state()


@pytest.fixture(scope='module')
def files(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp('dfdnet')
    torch.save(content, folder / 'net_G.pth')
    (folder / 'dictionary').mkdir()
    official.write_dictionary(folder / 'dictionary')
    return folder


@pytest.fixture(scope='module')
def converted(files):
    told = convert('dfdnet', files / 'net_G.pth', files / 'ours.pth',
                   files / 'dictionary')
    return told, load_backbone(files / 'ours.pth')


@pytest.mark.slow
def test_converted_equals_the_plain_computation(content, files, converted):
    net = converted[1]
    dictionary = {
        part: {side: torch.from_numpy(np.load(
            files / f'dictionary/{part}_{side}_center.npy')).reshape(
                -1, channels, *2 * [official.PART_SIDES[part] // (512 // side)])
            for side, channels in official.LEVELS.items()}
        for part in official.SHORT}
    # one image with two sets of boxes
    image = torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = torch.cat([
            official.restore(content, dictionary, image[None] * 2 - 1, boxes)
            for boxes in BOXES]) / 2 + 0.5
        boxes = torch.tensor([list(each.values()) for each in BOXES])
        found = net(image.expand(2, -1, -1, -1), boxes)  # against single samples
    assert expected.std() > 0.05
    # the dictionary does something
    assert (expected[0] - expected[1]).abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_file_keeps_its_licence(files, converted):
    origin = safe_load(files / 'ours.pth')['meta']['converted_from']
    assert origin['sha256'] == sha256_of(files / 'net_G.pth')
    assert 'CC BY-NC-SA' in origin['licence'] and 'non-commercial' in converted[0]
    assert "'atoms': 5" in converted[0]


def test_every_official_key_finds_its_place():
    table = SHARED / 'design/official_keys/dfdnet_512.tsv'
    if not table.is_file():
        pytest.skip(f'{table} is not there')
    official_shapes = {}
    for line in table.read_text().splitlines():
        key, shape = line.split('\t')
        official_shapes[key] = tuple(int(side) for side in shape.split(',') if side)
    config = dfdnet.config_of(official_shapes)
    with weights_follow():
        network = MODELS.build(dict(config, dictionary=dict(num_atoms=1)))
    ours = {name: tuple(value.shape) for key, value in network.state_dict().items()
            if not key.startswith('dictionary.')
            for name in dfdnet.official_names(key, config)}
    ours.update({key: tuple(value.shape)
                 for key, value in dfdnet.constants().items()})
    used = {key: shape for key, shape in official_shapes.items()
            if not key.startswith(dfdnet.UNUSED)}
    assert ours == used


@pytest.mark.parametrize('change, message', [
    (lambda state: state.pop('mo_32.2.weight_v'), r'mo_32\.2\.weight_v is missing'),
    (lambda state: state.pop('VggExtract.model.features.34.bias'),
     r'features\.34\.bias is missing'),
    (lambda state: state.update({'up2.convup.1.bias': torch.zeros(7)}),
     r'up2\.convup\.1\.bias: expected \(128,\), found \(7,\)'),
    (lambda state: state.update({'up2.conv1.0.weight': torch.ones(256, 1, 3, 3)}),
     r'up2\.conv1\.0\.weight is \[1\.0'),
    (lambda state: state.update({'VggExtract.RGB_std': torch.ones(1, 3, 1, 1)}),
     'VggExtract.RGB_std is'),
    (lambda state: state.update({'VggExtract.features.0.0.bias': torch.ones(64)}),
     'VggExtract.model.features.0.bias has other values'),
    (lambda state: state.update({'new.bias': torch.ones(1)}),
     'new.bias is not in the network'),
    (lambda state: state.update({'up4.0.bias': torch.full((64,), float('nan'))}),
     'up4.0.bias holds values that are not finite'),
    (lambda state: state.pop('MSDilate.convi.bias'), 'not a checkpoint of dfdnet')])
def test_what_does_not_fit_is_named(content, files, change, message, tmp_path,
                                    monkeypatch):
    state = dict(content)
    change(state)
    # spares writing 450 MB for each of the cases
    # (the module: the package's name of it is the function)
    monkeypatch.setattr(sys.modules[convert.__module__], 'safe_load',
                        lambda source: state)
    with pytest.raises(CheckpointMismatch, match=message):
        convert('dfdnet', tmp_path / 'changed.pth', tmp_path / 'ours.pth',
                files / 'dictionary')
    assert not (tmp_path / 'ours.pth').exists()


def test_both_layouts_of_the_dictionary_are_read(tmp_path):
    for flat in (True, False):
        written = official.write_dictionary(tmp_path, atoms=2, flat=flat)
        atoms = dfdnet.read_atoms(tmp_path)
        for part, levels in atoms.items():
            for side, found in zip(official.LEVELS, levels):
                assert np.array_equal(found, written[part][side].numpy())


@pytest.mark.parametrize('damage, error, message', [
    (lambda path: path.unlink(), FileNotFoundError, 'nose_64_center.npy is missing'),
    (lambda path: path.write_bytes(path.read_bytes()[:-100]), CheckpointMismatch,
     'nose_64_center.npy cannot be read'),
    (lambda path: np.save(path, np.ones((3, 512, 5, 6), np.float32)),
     CheckpointMismatch, r'nose_64_center.npy: expected floats of shape \(K, 512'),
    (lambda path: np.save(path, np.array([dict(a=1)], object), allow_pickle=True),
     CheckpointMismatch, 'nose_64_center.npy cannot be read')])
def test_a_bad_dictionary_is_refused(damage, error, message, tmp_path):
    official.write_dictionary(tmp_path, atoms=2)
    damage(tmp_path / 'nose_64_center.npy')
    with pytest.raises(error, match=message):
        dfdnet.read_atoms(tmp_path)


def test_dictionary_belongs_to_dfdnet_alone(tmp_path):
    with pytest.raises(ValueError, match='rcan: expected no dictionary'):
        convert('rcan', tmp_path / 'a.pth', tmp_path / 'b.pth', tmp_path)
    with pytest.raises(ValueError, match='dfdnet: expected a dictionary'):
        convert('dfdnet', tmp_path / 'a.pth', tmp_path / 'b.pth')
