"""Descriptions with missing, mistyped or endless fields are refused by name."""

import pytest

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.checkpoints import CheckpointMismatch
from tests import toy
from tests.model_files import files

RECORD = dict(name='x', path='x.pth', sha256='0' * 64, licence='MIT', member=None)


def cyclic():
    config = dict(files.TINY)
    config['again'] = config
    return config


def exploding():
    """Twenty levels of ten references each: a few hundred bytes, 10^20 values."""
    config = [1]
    for _ in range(20):
        config = [config] * 10
    return dict(files.TINY, a=config)


def wide():
    """The same with ten levels, within the depth."""
    config = [1]
    for _ in range(10):
        config = [config] * 10
    return dict(files.TINY, a=config)


@pytest.mark.parametrize('changes, message', [
    (dict(format=2), 'format 2; this version of fdsr reads 1'),
    (dict(format=None), 'format None; this version'),
    (dict(backbones=[files.TINY]), 'backbones: expected a dict .*type list'),
    (dict(backbones=None), 'backbones: expected a dict .*found nothing'),
    (dict(backbones={}), 'backbones: expected'),
    (dict(backbones=dict(generator='fdsr.RCAN')), 'backbones.generator: expected'),
    (dict(backbones={5: files.TINY}), 'expected keys that are strings'),
    (dict(backbones=dict(generator=cyclic())), 'nested too deep'),
    (dict(backbones=dict(generator=exploding())), 'nested too deep'),
    (dict(backbones=dict(generator=wide())), 'too many values'),
    (dict(backbones=dict(generator=dict(files.TINY, a=[0] * 10**5))), 'too many'),
    (dict(backbones=dict(generator=dict(files.TINY, a='x' * 10**5))), 'a text of at'),
    (dict(backbones=dict(generator=dict(files.TINY, a=b'x'))), 'a plain, finite'),
    (dict(default=None), 'default: expected one of generator, found nothing'),
    (dict(default='student'), "default: expected one of generator, found 'student'"),
    (dict(default=['generator']), 'default: expected one of'),
    (dict(external=None), 'external: expected a dict .*found nothing'),
    (dict(external=['x']), 'external: expected'),
    (dict(external=dict(generator='x.pth')), 'external.generator: expected a record'),
    (dict(external=dict(generator={**RECORD, 'path': 5})), 'generator.path: .*found 5'),
    (dict(external=dict(generator={**RECORD, 'path': '\0'})), 'generator.path: exp'),
    (dict(external=dict(generator={**RECORD, 'sha256': 'x'})), '64 hex digits'),
    (dict(external=dict(generator={**RECORD, 'member': 5})), 'member: expected a text'),
    (dict(external=dict(generator={'name': 'x'})), 'generator.path: .*found nothing'),
    (dict(faces=5), 'faces: expected a dict, found 5'),
    (dict(faces=dict(size='large')), "faces.size: .*found 'large'"),
    (dict(faces=dict(size=10**9)), 'faces.size: expected a number from 1 to 4096'),
    (dict(faces=dict(scale=0)), 'faces.scale: expected'),
    (dict(faces=dict(eye_share=-1)), 'faces.eye_share: expected'),
])
def test_a_wrong_field_is_named(changes, message, tmp_path):
    path = files.write(tmp_path / 'model.pth', **changes)
    with pytest.raises(CheckpointMismatch, match=rf'model\.pth.*{message}'):
        load_backbone(path)


def test_a_state_dict_of_something_else_is_named(tmp_path):
    for state in ([1], {5: 6}, {'generator.w': 'text'}):
        path = files.write(tmp_path / 'model.pth', state=state)
        with pytest.raises(CheckpointMismatch, match=r'model\.pth: expected tensors'):
            load_backbone(path)


def test_an_external_path_that_no_file_can_have_is_missing(tmp_path):
    path = files.write(tmp_path / 'model.pth', external=dict(
        generator={**RECORD, 'path': '/' + 'x' * 4000}))
    with pytest.raises(FileNotFoundError, match=r'model\.pth takes'):
        load_backbone(path)


def test_sizes_that_leave_no_lr_are_refused(tmp_path):
    path = files.write(tmp_path / 'model.pth', dict(type='fdsr.Bicubic', scale=64), {},
                       faces=dict(size=32))
    with pytest.raises(ValueError, match='Bicubic is for SR of 32 px at scale 64'):
        FaceSuperResolver(path, 'cpu')


def test_a_file_of_a_run_is_described_rightly(tmp_path):
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    assert load_backbone(tmp_path / 'iter_3.pth')
