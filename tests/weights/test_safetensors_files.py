"""Safetensors files: readable by the package, hashed as ModelSpec says, checked."""

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fdsr.weights import ModelFileError, RefusedCheckpointError, safe_load
from fdsr.weights.hashing import values_sha256
from fdsr.weights.safetensors_files import load, save

SPEC = dict(architecture='fdsr-tiny', implementation='fdsr', title='Tiny',
            description='Läuft.', license='MIT', author=None)
META = {'fdsr': {'a': [1, 2.5, None, True, 'ä']}}


def values():
    torch.manual_seed(0)
    return {'c.half': torch.rand(3, 5).half(), 'a.scalar': torch.tensor(7),
            'b.empty': torch.empty(0, 3), 'b.bytes': torch.arange(3, dtype=torch.uint8),
            'd.mask': torch.tensor([True, False]), 'e.wide': torch.rand(2).double(),
            'f.brain': torch.rand(2, 2).bfloat16(), 'g.columns': torch.rand(4, 3).t()}


@pytest.fixture
def path(tmp_path):
    save(tmp_path / 'x.safetensors', META, values(), SPEC)
    return tmp_path / 'x.safetensors'


def parts(path):
    """Returns the header and the bytes of the tensors, read by hand."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], 'little')
    return json.loads(data[8:end]), data[end:]


def put(path, header, section, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, 'little') + text + section)


def equal(found, expected):
    return found.keys() == expected.keys() and all(
        found[key].dtype == value.dtype and torch.equal(found[key], value)
        for key, value in expected.items())


def test_the_package_reads_the_file_and_so_does_fdsr(path):
    assert equal(load_file(path), values())
    content = safe_load(path)
    assert equal(content['state_dict'], values()) and content['meta'] == META
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_the_package_wrote_again_is_read(path):
    with safe_open(path, 'pt') as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, 'format': 'pt'})
    assert equal(load(path)['state_dict'], values())


def test_the_keys_of_modelspec(path):
    """The hash as the specification's example computes it: all after the header."""
    header, section = parts(path)
    metadata = header['__metadata__']
    digest = hashlib.sha256(section).hexdigest()
    assert metadata['modelspec.hash_sha256'] == f'0x{digest}'
    assert metadata['modelspec.sai_model_spec'] == '1.0.1'
    for key, value in SPEC.items():
        assert metadata.get(f'modelspec.{key}') == value
    assert metadata['fdsr_sha256'] == hashlib.sha256(
        metadata['fdsr'].encode()).hexdigest()


def test_equal_content_gives_equal_files(path):
    first = path.read_bytes()
    save(path, META, dict(reversed(values().items())), SPEC)
    assert path.read_bytes() == first


def test_values_are_read_once(path):
    """The tensors share the memory that the file was read into."""
    found = load(path)['state_dict']
    _, section = parts(path)
    offsets = {name: entry['data_offsets'][0] for name, entry in parts(path)[0].items()
               if name != '__metadata__'}
    starts = {value.data_ptr() - offsets[name] for name, value in found.items()
              if value.numel()}
    assert len(starts) == 1 and len(section) == sum(
        value.numel() * value.element_size() for value in found.values())


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('meta, value, message', [
    (META, torch.eye(3).to_sparse(), 'w, which is not a dense tensor'),
    (META, torch.zeros(2, dtype=torch.complex64), 'w, which is of the dtype'),
    (META, torch.zeros(2, device='meta'), 'w, which is on the device meta'),
    ({5: 1}, torch.zeros(2), 'keys that are not strings'),
    ({'a': float('nan')}, torch.zeros(2), 'its description'),
    ({'a': torch.zeros(2)}, torch.zeros(2), 'its description'),
    ({'a': 'x' * 2**23}, torch.zeros(2), 'a description of .* the limit is')])
def test_what_could_not_be_read_is_not_written(meta, value, message, tmp_path):
    with pytest.raises(ModelFileError,
                       match=rf'x\.safetensors cannot store .*{message}'):
        save(tmp_path / 'x.safetensors', meta, {'w': value}, SPEC)
    assert not list(tmp_path.iterdir())


def test_a_name_that_the_format_reserves_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="cannot store a tensor with the name '__"):
        save(tmp_path / 'x.safetensors', META, {'__metadata__': torch.ones(1)}, SPEC)


@pytest.mark.parametrize('value', [
    torch.arange(2.0)[1::2], torch.arange(6.0).reshape(2, 3).t(),
    torch.ones(2).expand(3, 2), torch._neg_view(torch.ones(2))])
def test_views_are_stored_by_value(value, tmp_path):
    save(tmp_path / 'x.safetensors', META, {'w': value}, SPEC)
    assert torch.equal(load(tmp_path / 'x.safetensors')['state_dict']['w'], value)
    assert values_sha256({'w': value}) == values_sha256({'w': value.clone()})


def test_a_full_disk_keeps_the_earlier_file(path, monkeypatch):
    from fdsr.weights import safetensors_files
    before = path.read_bytes()
    real, calls = safetensors_files.tensor_bytes, []

    def full(value):
        calls.append(value)
        if len(calls) > len(values()) + 2:  # after the hash and two tensors
            raise OSError(28, 'No space left on device')
        return real(value)
    monkeypatch.setattr(safetensors_files, 'tensor_bytes', full)
    with pytest.raises(OSError, match='No space'):
        save(path, META, values(), SPEC)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def tensor(**changes):
    """Changes an entry of the header."""
    def change(header, section):
        header['c.half'].update(changes)
    return change


def shifted(header, section):
    """Two tensors share their bytes."""
    size = header['c.half']['data_offsets'][1] - header['c.half']['data_offsets'][0]
    header['c.half']['data_offsets'] = [0, size]


@pytest.mark.parametrize('change, message', [
    (tensor(shape=[10**9]), r"the tensor 'c\.half', of shape \(1000000000,\): "
     '2000000000 bytes in a section of'),
    (tensor(shape=[2**62] * 60), "the tensor 'c.half', of shape"),
    (tensor(shape=[2**62, 2**62, 0], data_offsets=[0, 0]),
     "the tensor 'c.half', of shape .* too large for torch"),
    (tensor(shape=[1] * 65), "the tensor 'c.half', whose shape or offsets"),
    (tensor(shape=[-1]), "the tensor 'c.half', whose shape or offsets"),
    (tensor(shape=[True, 15]), "the tensor 'c.half', whose shape or offsets"),
    (tensor(shape=[3]), "the tensor 'c.half', which is not dense: expected 6 bytes"),
    (tensor(shape=5), "the tensor 'c.half', whose shape or offsets"),
    (tensor(dtype='C64'), "the tensor 'c.half', of the dtype 'C64'"),
    (tensor(dtype=['F16']), "the tensor 'c.half', of the dtype a value of type list"),
    (tensor(strides=[1, 3]), "the tensor 'c.half', which has other entries"),
    (tensor(data_offsets=[2**70, 2**71]), "the tensor 'c.half', whose shape or"),
    (tensor(data_offsets=[]), "the tensor 'c.half', which is not dense"),
    (shifted, "the tensor '[a-z.]+', which is not dense: it starts at byte"),
    (lambda header, section: header.pop('g.columns'), "'.*', which is not dense"),
    (lambda header, section: header.pop('b.bytes'), "'.*', which is not dense|after"),
    (lambda header, section: header.update(x=[1]), "the tensor 'x', which has other"),
    (lambda header, section: header.update({'x' * 5000: header['a.scalar']}),
     'whose name has 5000 characters'),
    (lambda header, section: section.extend(b'more'), '4 bytes after the last tensor'),
    (lambda header, section: section.pop(), 'tensor'),
    (lambda header, section: header.pop('__metadata__'), "no metadata 'fdsr'"),
    (lambda header, section: header.update(__metadata__=[1]), 'metadata that are not'),
    (lambda header, section: header['__metadata__'].update(a=1), 'metadata that are'),
])
def test_a_header_that_is_not_true_is_named(change, message, path):
    header, section = parts(path)
    section = bytearray(section)
    change(header, section)
    put(path, header, section)
    with pytest.raises(RefusedCheckpointError,
                       match=rf'x\.safetensors: expected .*{message}'):
        load(path)


def described(text):
    """Returns a header whose description is ``text``, with the right hash."""
    return {'__metadata__': dict(
        fdsr=text, fdsr_sha256=hashlib.sha256(text.encode()).hexdigest())}


@pytest.mark.parametrize('header, length, message', [
    (b'{}', 1 << 40, 'a header of 1099511627776 bytes'),
    (b'{}', 100_000_000, 'a header of 100000000 bytes'),
    (b' ' * 9_000_000, None, 'a header of 9000000 bytes in a file of 9000008'),
    (b'{"a": 1', None, 'a header that is not JSON'),
    (b'\xff\xfe{}', None, 'a header that is not JSON'),
    ('{}'.encode('utf-16'), None, 'a header that is not JSON'),
    (b'[' * 100_000, None, r'a header that is not JSON \(RecursionError'),
    (b'{"a": ' + b'9' * 5000 + b'}', None, 'a header that is not JSON'),
    (b'[1]', None, 'a list as its header'),
    (b'{"a": 1, "a": 2}', None, "the key 'a' twice"),
    (described('{"fdsr": 1, "fdsr": 2}'), None, "the key 'fdsr' twice"),
    (described('{"fdsr": '), None, 'a header that is not JSON'),
    ({'__metadata__': dict(fdsr='{}', fdsr_sha256='0' * 64)}, None,
     "a description that differs from its 'fdsr_sha256'"),
    ({'__metadata__': {'modelspec.title': 'x', 'format': 'pt'}}, None,
     "no metadata 'fdsr'")])
def test_a_broken_header_is_named(header, length, message, tmp_path):
    path = tmp_path / 'x.safetensors'
    put(path, header, b'', length)
    with pytest.raises(RefusedCheckpointError,
                       match=rf'x\.safetensors: expected .*{message}'):
        load(path)


def test_every_truncation_is_refused(path):
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(RefusedCheckpointError, match=r'x\.safetensors: expected'):
            load(path)


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    (tmp_path / 'x.safetensors').write_text(
        'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n')
    with pytest.raises(RefusedCheckpointError, match='found a pointer of Git LFS'):
        load(tmp_path / 'x.safetensors')


def test_a_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / 'x.safetensors'
    save_file(values() | {'g.columns': torch.zeros(1)}, path, {'format': 'pt'})
    with pytest.raises(RefusedCheckpointError, match="x.*no metadata 'fdsr'"):
        load(path)


def test_a_link_to_a_system_file_is_not_read(tmp_path):
    (tmp_path / 'x.safetensors').symlink_to('/proc/kmsg')
    with pytest.raises(OSError, match='system file'):
        load(tmp_path / 'x.safetensors')
