"""Descriptions with missing, mistyped or endless fields are refused by name."""

import os

import pytest
import torch

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.models.files import check_description
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.weights import RefusedCheckpointError, sha256_of
from tests import toy
from tests.models.files import files

#: What a person is shown in one sentence.
CLEAR = (CheckpointMismatch, RefusedCheckpointError, FileNotFoundError)
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


def bomb():
    """Forty levels of ten references each, of text: what never ends as a message."""
    text = ['x']
    for _ in range(40):
        text = [text] * 10
    return text


def broad():
    """One long key over many values, each of whose paths has it."""
    return {'K' * 4096: [{'K' * 4096: k} for k in range(10**5)]}


@pytest.mark.parametrize('changes, message', [
    (dict(format=bomb()), 'format.*nested too deep'),
    (dict(format=torch.ones(3)), 'format: .*found a value of type Tensor'),
    (dict(format=True), 'has format True; this'),
    (dict(licence=bomb()), 'nested too deep'),
    (dict(faces=bomb()), 'nested too deep'),
    (dict(backbones=dict(generator=dict(files.TINY, a=broad()))), 'too many values'),
    (dict(backbones=dict(generator=dict(files.TINY, a=2**64))), 'an integer of 64'),
    (dict(format=2), 'format 2; this version of fdsr reads 1'),
    (dict(format=None), 'format None; this version'),
    (dict(backbones=[files.TINY]), 'backbones: expected a dict .*type list'),
    (dict(backbones=None), 'backbones: expected a dict .*found nothing'),
    (dict(backbones={}), 'backbones: expected'),
    (dict(backbones=dict(generator='fdsr.RCAN')), 'backbones.generator: expected'),
    (dict(backbones={5: files.TINY}), 'expected string keys'),
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
    (dict(external=dict(generator={**RECORD, 'member': 5})), 'member: expected a str'),
    (dict(external=dict(generator={'name': 'x'})), 'generator.path: .*found nothing'),
    (dict(faces=5), 'faces: expected a dict, found 5'),
    (dict(traits=3), 'traits: expected a dict of traits by backbone, found 3'),
    (dict(traits=dict(a=3)), 'traits.a: expected a dict, found 3'),
    (dict(traits=dict(a=dict(size=8))), 'traits.a: .*missing.*scale'),
    (dict(traits=dict(a=dict(scale=2, speed=3))), 'traits.a: .*unexpected.*speed'),
    (dict(traits=dict(a=dict(scale=2.5))), 'traits.a: .*scale: .*found 2.5'),
    (dict(traits=dict(a=dict(scale=2, size=1))), 'traits.a: .*size: .*found 1'),
    (dict(traits=dict(a=dict(scale=2, eye_share=2))), 'traits.a: .*eye_share: '),
    (dict(traits=dict(a=dict(scale=2, uses_boxes=1))), 'traits.a: .*uses_boxes: '),
    (dict(faces=dict(size='large')), "faces.size: .*found 'large'"),
    (dict(faces=dict(size=10**9)), 'faces.size: expected an integer from 1 to 4096'),
    (dict(faces=dict(scale=0)), 'faces.scale: expected'),
    (dict(faces=dict(eye_share=-1)), 'faces.eye_share: expected'),
    (dict(faces=dict(eye_share=-1.0)), 'faces.eye_share: .*0 and 1, found -1.0'),
    (dict(faces=dict(size=16.5)), 'faces.size: .*an integer.*found 16.5'),
    (dict(faces=dict(scale=.5)), 'faces.scale: .*an integer.*found 0.5'),
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
    with pytest.raises(FileNotFoundError, match=r'model\.pth loads'):
        load_backbone(path)


def test_sizes_that_leave_no_lr_are_refused(tmp_path):
    path = files.write(tmp_path / 'model.pth', dict(type='fdsr.Bicubic', scale=64), {},
                       faces=dict(size=32))
    message = r'model\.pth: .*size: expected an integer from scale=64 .*found 32'
    with pytest.raises(ValueError, match=message):
        FaceSuperResolver(path, 'cpu')


@pytest.mark.timeout(120)
@pytest.mark.parametrize('meta, message', [
    (dict(licence=bomb()), 'meta.licence.*nested too deep'),
    (dict(licence=['MIT']), r'meta\.licence: expected a string, found .*type list'),
    (dict(licence=torch.ones(3)), r'meta\.licence: .*found a value of type Tensor'),
    (dict(licence='x' * 10**5), r'meta\.licence: expected a text of at most'),
    (dict(converted_from=dict(licence=bomb())), r'converted_from\.licence.*too deep'),
    (dict(converted_from=dict(licence=5)), r'converted_from\.licence: .*found 5'),
    (dict(anything=bomb()), 'meta.anything.*nested too deep'),
], ids=lambda value: list(value)[0] if isinstance(value, dict) else None)
def test_all_of_meta_is_checked_before_it_is_used(meta, message, tmp_path):
    path = files.write(tmp_path / 'model.pth')
    content = torch.load(path, weights_only=True)
    content['meta'].update(meta)
    torch.save(content, path)
    with pytest.raises(CheckpointMismatch, match=rf'model\.pth.*{message}') as error:
        load_backbone(path)
    assert len(str(error.value)) < 2000
    with pytest.raises(CheckpointMismatch, match=rf'model\.pth.*{message}'):
        toy.train(toy.restorer_config(tmp_path, load_from=str(path)))


@pytest.mark.parametrize('value', [bomb(), torch.ones(3), [1], {}, 1.0, None])
def test_a_format_is_compared_only_if_it_is_a_number(value):
    with pytest.raises(CheckpointMismatch, match='the file has format '):
        check_description('the file', dict(format=value))


def test_long_texts_and_many_facts_beside_the_description_are_loaded(tmp_path):
    path = files.write(tmp_path / 'model.pth')
    content = torch.load(path, weights_only=True)
    content['meta'].update(cfg='x = 1\n' * 10**5, listed=[str(k) for k in range(10**4)],
                           best=float('inf'))
    torch.save(content, path)
    load_backbone(path)


def test_too_little_memory_for_the_check_is_a_refusal(tmp_path, monkeypatch):
    def check(*args, **kwargs):
        raise MemoryError
    monkeypatch.setattr('fdsr.models.files.description.check_plain', check)
    with pytest.raises(RefusedCheckpointError, match=r'model\.pth: .*memory'):
        load_backbone(files.write(tmp_path / 'model.pth'))


def test_files_that_name_each_other_end(tmp_path):
    """Each of many files takes its backbone from the one before."""
    path = files.write(tmp_path / '0.pth')
    for number in range(1, 1200):
        record = {**RECORD, 'path': str(path), 'sha256': sha256_of(path)}
        path = files.write(tmp_path / f'{number}.pth', state={},
                           external=dict(generator=record))
        if number == 3:
            load_backbone(path)
    with pytest.raises(CheckpointMismatch, match=r"119\d\.pth loads 'generator' from"):
        load_backbone(path)


@pytest.mark.parametrize('place', ['/proc/self/mem', '/proc/kmsg', '/dev/null',
                                   'huge.bin', 'secret.txt'])
def test_what_a_file_names_is_an_ordinary_file_and_stays_unread(place, tmp_path):
    """The kernel's never end; a sparse one claims terabytes; a hash is a fact."""
    place = tmp_path / 'elsewhere' / place  # an absolute path stays what it is
    (tmp_path / 'elsewhere').mkdir()
    if place.name == 'huge.bin':
        with place.open('wb') as file:
            os.truncate(file.fileno(), 5 * 10**12)
    elif place.name == 'secret.txt':
        place.write_text('a guess')
    elif not place.exists():
        pytest.skip(f'{place} is not on this machine')
    record = {**RECORD, 'path': str(place)}
    with pytest.raises((CheckpointMismatch, FileNotFoundError)) as error:
        load_backbone(files.write(tmp_path / 'model.pth', external=dict(
            generator=record)))
    for part in (str(tmp_path / 'model.pth'), str(place)):
        assert part in str(error.value)
    if place.name == 'secret.txt':
        assert sha256_of(place)[:12] not in str(error.value)
    encoder = dict(arch='vgg16', pretrained=str(place))
    for config in ({**toy.STUDENT, 'encoder': encoder}, {
            **toy.TEACHER, 'dictionary': dict(file=str(place))}):
        with pytest.raises(CLEAR, match=str(place)) as error:
            load_backbone(files.write(tmp_path / 'model.pth', config))
        if place.name == 'secret.txt':
            assert sha256_of(place)[:12] not in str(error.value)


def test_a_copy_beside_the_checkpoint_replaces_one_that_cannot_be_read(tmp_path):
    source = files.write(tmp_path / 'mem')
    record = {**RECORD, 'path': '/proc/self/mem', 'sha256': sha256_of(source)}
    assert load_backbone(files.write(tmp_path / 'model.pth', state={}, external=dict(
        generator=record)))


def test_a_file_of_a_run_is_described_rightly(tmp_path):
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    assert load_backbone(tmp_path / 'iter_3.pth')
