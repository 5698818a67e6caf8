"""The dictionary's file: what is written is read, and what does not fit is refused."""

import pickle

import pytest
import torch

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import FeatureEncoder, TinyEncoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.models.dictionary.files import (
    DictionaryMismatch,
    load_dictionary,
    save_dictionary,
)
from fdsr.weights import safe_load, safetensors_files, sha256_of
from fdsr.weights.safe import RefusedCheckpointError
from tests.hostile import Code

SIZE, EYE_SHARE = 64, 0.3125
REMEDY = 'tools/build_dictionary.py CONFIG --out FILE'


def write(path, encoder, size=SIZE, eye_share=EYE_SHARE, dtype=torch.float32, **facts):
    shape = dictionary_shape(encoder, size, eye_share)
    spec = DictionarySpec.uniform(num_atoms=3, **shape)
    dictionary = ComponentDictionary(spec, dtype).randomise_()
    return dictionary, save_dictionary(dictionary, path, encoder, **facts)


def read(path, encoder, **kwargs):
    return load_dictionary(
        path, encoder, **dictionary_shape(encoder, SIZE, EYE_SHARE), **kwargs)


def vgg(seed=0):
    encoder = FeatureEncoder('vgg16', pretrained=None)
    with torch.no_grad():
        encoder.net.features.conv1_1.bias += seed
    return encoder


@pytest.fixture
def tiny():
    return TinyEncoder()


@pytest.mark.parametrize('kept', [torch.float32, torch.float16])
@pytest.mark.parametrize('name', ['faces.pth', 'faces.safetensors'])
def test_round_trip(tmp_path, tiny, kept, name):
    path = tmp_path / 'new' / name
    written, sha256 = write(path, tiny, dtype=kept, seed=7,
                            source=dict(name='drawn', kept=3))
    dictionary = read(path, tiny)
    for slot in written.spec.slots():
        assert dictionary.atoms(*slot).dtype == torch.float32
        assert torch.equal(dictionary.atoms(*slot), written.atoms(*slot).float())
    assert dictionary.metadata['seed'] == 7
    assert dictionary.metadata['source'] == dict(name='drawn', kept=3)
    assert dictionary.metadata['encoder'] == dict(
        arch='tiny', sha256=tiny.fingerprint())
    assert sha256 == sha256_of(path) == dictionary.external_weights.sha256
    assert dictionary.external_weights.path == str(path)
    assert [one.name for one in path.parent.iterdir()] == [name]


def test_a_changed_atom_is_found(tmp_path, tiny):
    path = tmp_path / 'd.pth'
    write(path, tiny)
    content = torch.load(path, weights_only=True)
    content['atoms']['mouth'][1][0, 0, 0, 0] += 1e-3
    torch.save(content, path)
    with pytest.raises(DictionaryMismatch, match=r'd\.pth is a damaged .*SHA-256'):
        read(path, tiny)
    del content['meta']['weights_sha256']  # as in earlier files
    torch.save(content, path)
    read(path, tiny)


def rewritten(path, change):
    """Changes header and tensors of a safetensors file, which get right hashes."""
    content = safe_load(path)
    change(content['meta'], content['state_dict'])
    safetensors_files.save(path, content['meta'], content['state_dict'],
                           dict(title='x'))


@pytest.mark.parametrize('change, message', [
    (lambda header, atoms: atoms['mouth.1'].add_(1e-3), 'a damaged .*SHA-256'),
    (lambda header, atoms: header['meta'].pop('weights_sha256'), 'damaged .*SHA-256'),
    (lambda header, atoms: atoms.pop('mouth.1'), 'another version'),
    (lambda header, atoms: atoms.pop('mouth.3'), 'levels of the mouth atoms'),
    (lambda header, atoms: atoms.update(x=atoms['mouth.1']), 'another version'),
    (lambda header, atoms: header.pop('format'), "not a dictionary: expected format"),
    (lambda header, atoms: header.update(version=2), 'another version'),
    (lambda header, atoms: header['meta'].update(layout='A'), 'layout: expected B'),
    (lambda header, atoms: atoms.update({'nose.0': atoms['nose.0'].long()}),
     'atoms.nose is missing or has another type')])
def test_a_safetensors_dictionary_that_does_not_fit(change, message, tmp_path, tiny):
    path = tmp_path / 'd.safetensors'
    write(path, tiny)
    rewritten(path, change)
    with pytest.raises(DictionaryMismatch, match=rf'd\.safetensors.*{message}'):
        read(path, tiny)


def test_a_model_is_not_a_dictionary_and_the_reverse(tmp_path, tiny):
    from fdsr.models.files.checkpoints import CheckpointMismatch, load_backbone
    path = tmp_path / 'x.safetensors'
    write(path, tiny)
    with pytest.raises(CheckpointMismatch, match=r'x\.safetensors is not a self-descr'):
        load_backbone(path)
    safetensors_files.save(path, {'fdsr': {}}, {'a': torch.zeros(1)}, {})
    with pytest.raises(DictionaryMismatch, match=r'x\.safetensors is not a dictionary'):
        read(path, tiny)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RefusedCheckpointError, match=f'x.*found.*{REMEDY}'):
        read(path, tiny)


def test_number_of_atoms_comes_from_the_file(tmp_path, tiny):
    shape = dictionary_shape(tiny, SIZE, EYE_SHARE)
    counts = {name: [2, 3, 1, 4] for name in COMPONENTS}
    spec = DictionarySpec(shape['channels'], shape['sides'], counts)
    save_dictionary(ComponentDictionary(spec).randomise_(), tmp_path / 'd.pth', tiny)
    assert read(tmp_path / 'd.pth', tiny).spec.num_atoms == counts


def test_an_interrupted_write_leaves_the_old_file(tmp_path, tiny, monkeypatch):
    path = tmp_path / 'd.pth'
    _, before = write(path, tiny)

    def broken(content, file):
        file.write_bytes(b'half of it')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', broken)
    with pytest.raises(OSError, match='disk full'):
        write(path, tiny)
    assert sha256_of(path) == before


def assert_refused(path, encoder, what, expected, found):
    with pytest.raises(DictionaryMismatch) as refusal:
        read(path, encoder)
    message = str(refusal.value)
    assert str(path) in message and REMEDY in message
    assert f'{what}: expected {expected}, found {found}.' in message


def test_another_layout_is_refused(tmp_path, tiny):
    write(tmp_path / 'd.pth', TinyEncoder('A'))
    assert_refused(tmp_path / 'd.pth', tiny, 'layout', 'B', 'A')


def test_another_encoder_is_refused(tmp_path, tiny):
    write(tmp_path / 'd.pth', tiny)
    assert_refused(tmp_path / 'd.pth', vgg(), 'encoder', 'vgg16', 'tiny')


def test_other_weights_of_the_encoder_are_refused(tmp_path):
    theirs, ours = vgg(seed=1), vgg()
    write(tmp_path / 'd.pth', theirs)
    assert_refused(tmp_path / 'd.pth', ours, 'weights of the encoder (SHA-256)',
                   ours.fingerprint(), theirs.fingerprint())


@pytest.mark.parametrize('other, found', [
    (dict(size=128), [50, 25, 12, 6]), (dict(eye_share=0.243), [10, 5, 2, 2])])
def test_another_size_or_eye_distance_is_refused(tmp_path, tiny, other, found):
    write(tmp_path / 'd.pth', tiny, **{**dict(size=SIZE), **other})
    if 'size' in other:
        found = dictionary_shape(tiny, 128, EYE_SHARE)['sides']['left_eye']
    ours = dictionary_shape(tiny, SIZE, EYE_SHARE)['sides']['left_eye']
    assert_refused(tmp_path / 'd.pth', tiny, 'sides of the left_eye atoms', ours, found)


def test_the_release_layout_wants_its_own_variance(tmp_path, tiny):
    content_of = TinyEncoder()
    write(tmp_path / 'd.pth', content_of)
    content = torch.load(tmp_path / 'd.pth', weights_only=True)
    content['meta']['unbiased'] = True
    torch.save(content, tmp_path / 'd.pth')
    assert_refused(tmp_path / 'd.pth', tiny, 'variance (unbiased)', False, True)


def test_a_missing_file_tells_how_to_make_one(tmp_path):
    path = tmp_path / 'none.pth'
    with pytest.raises(FileNotFoundError) as missing:
        DictionaryTeacher(size=SIZE, scale=4, width=0.25,
                          encoder=dict(type='fdsr.TinyEncoder'),
                          dictionary=dict(file=str(path)))
    assert str(path) in str(missing.value) and REMEDY in str(missing.value)


def test_a_truncated_file_is_refused(tmp_path, tiny):
    path = tmp_path / 'd.pth'
    write(path, tiny)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises((DictionaryMismatch, RefusedCheckpointError)) as refusal:
        read(path, tiny)
    message = str(refusal.value)
    assert str(path) in message and REMEDY in message


@pytest.mark.parametrize('content', [
    [1, 2, 3], dict(state_dict={}), dict(format='fdsr-dictionary'),
    dict(format='fdsr-dictionary', version=99, meta={}, atoms={})])
def test_another_file_is_refused(tmp_path, tiny, content):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(DictionaryMismatch) as refusal:
        read(path, tiny)
    assert str(path) in str(refusal.value) and REMEDY in str(refusal.value)


def bomb():
    """Nested references: a few hundred bytes that are endless as text."""
    text = ['x']
    for _ in range(40):
        text = [text] * 10
    return text


@pytest.mark.timeout(120)
@pytest.mark.parametrize('change, message', [
    (lambda content: content.update(version=bomb()), 'another version.*type list'),
    (lambda content: content.update(version=torch.ones(3)), 'version.*type Tensor'),
    (lambda content: content.update(format=torch.ones(3)), 'is not a dictionary'),
    (lambda content: content.update(format=bomb()), 'is not a dictionary'),
    *((lambda content, key=key: content['meta'].update({key: bomb()}),
       f'damaged dictionary: meta.{key}.*nested too deep')
      for key in ('licence', 'channels', 'sides', 'layout', 'source')),
    (lambda content: content['meta'].update(licence=5), 'meta.licence is missing or'),
    (lambda content: content['meta'].update(channels=list(range(9999))),
     'channels: expected'),
    (lambda content: content['atoms']['nose'].__setitem__(
        0, content['atoms']['nose'][0].double() + 1e300), 'nose atoms .* not finite'),
])
def test_what_a_file_says_is_checked_before_it_is_told(change, message, tmp_path, tiny):
    path = tmp_path / 'd.pth'
    write(path, tiny)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(DictionaryMismatch, match=message) as refusal:
        read(path, tiny)
    assert str(path) in str(refusal.value) and len(str(refusal.value)) < 2000


def test_facts_that_could_not_be_read_are_not_written(tmp_path, tiny):
    with pytest.raises(DictionaryMismatch, match=r'd\.pth .*meta\.source: expected a'):
        write(tmp_path / 'd.pth', tiny, source=torch.ones(3))
    assert not list(tmp_path.iterdir())


def test_code_in_a_file_is_not_run(tmp_path, tiny):
    path, trace = tmp_path / 'hostile.pth', tmp_path / 'trace'
    torch.save(dict(format='fdsr-dictionary', meta=Code(trace)), path)
    with pytest.raises(pickle.UnpicklingError, match='hostile.pth'):
        read(path, tiny)
    assert not trace.exists()
