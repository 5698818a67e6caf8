"""Damaged model files end in one family of errors that name the file."""

import hashlib
import json

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.models.dictionary.files import DictionaryMismatch
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    copy_trained_weights,
    save_backbone,
)
from fdsr.registry import MODELS
from fdsr.weights import ModelFileError, RefusedCheckpointError
from fdsr.weights.hashing import hashes_of, values_sha256
from tests.models.files import files


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MODELS.build(files.TINY).eval()


@pytest.fixture(params=['model.pth', 'model.safetensors'])
def saved(request, network, tmp_path):
    save_backbone(network, files.TINY, tmp_path / request.param, licence='MIT')
    return tmp_path / request.param


def flip(path, place, bit=2):
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def test_there_is_one_family():
    for error in (RefusedCheckpointError, CheckpointMismatch, DictionaryMismatch):
        assert issubclass(error, ModelFileError) and issubclass(error, ValueError)


def test_the_hash_covers_names_types_shapes_and_values():
    values = dict(a=torch.arange(6.), b=torch.tensor(2), c=torch.empty(0, 3),
                  d=torch.rand(2, 2).bfloat16())
    expected = values_sha256(values)
    assert values_sha256(dict(reversed(values.items()))) == expected
    assert values_sha256({**values, 'a': torch.arange(12.)[:6]}) == expected
    columns = torch.arange(6.).reshape(3, 2).t()  # another layout in memory
    assert values_sha256(dict(a=columns)) == values_sha256(
        dict(a=columns.contiguous()))
    for change in (dict(a=values['a'].reshape(2, 3)), dict(a=values['a'].double()),
                   dict(a=values['a'] + 1e-6), dict(c=torch.empty(0, 4)),
                   dict(b=torch.tensor(3)), dict(e=torch.zeros(1))):
        assert values_sha256({**values, **change}) != expected
    assert hashes_of({'net.a': values['a'], 'net.b': values['b'], 'other.c': values['c']
                      }) == dict(net=values_sha256(dict(a=values['a'], b=values['b'])),
                                 other=values_sha256(dict(c=values['c'])))


def test_a_file_comes_back(saved, network):
    found = load_backbone(saved)
    for key, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    assert (found.scale, found.uses_boxes) == (network.scale, network.uses_boxes)


def test_a_flipped_bit_of_a_weight_is_found(saved, network):
    """Everywhere in a tensor: sign, exponent and mantissa."""
    data = saved.read_bytes()
    values = network.head.weight.detach().numpy().tobytes()
    start = data.index(values)
    for place in range(start, start + len(values), 41):
        flip(saved, place, place % 8)
        with pytest.raises(ModelFileError, match=saved.name):
            load_backbone(saved)
        saved.write_bytes(data)
    load_backbone(saved)


def test_weights_that_were_edited_are_named(network, tmp_path):
    path = tmp_path / 'edited.pth'
    save_backbone(network, files.TINY, path)
    content = torch.load(path, weights_only=True)
    content['state_dict']['generator.head.bias'] += 1
    torch.save(content, path)
    message = r"edited\.pth: the weights of 'generator' differ.*Copy or fetch it again"
    for load in (load_backbone,
                 lambda path: copy_trained_weights(path, MODELS.build(files.TINY))):
        with pytest.raises(CheckpointMismatch, match=message):
            load(path)
    del content['meta']['fdsr']['weights_sha256']  # as the message says
    torch.save(content, path)
    assert torch.equal(load_backbone(path).head.bias, network.head.bias + 1)


@pytest.mark.parametrize('hashes', [5, [1], {'generator': 5}, {'generator': 'x'},
                                    {5: '0' * 64}])
def test_mistyped_hashes_are_named(hashes, tmp_path):
    path = files.write(tmp_path / 'model.pth', weights_sha256=hashes)
    with pytest.raises(CheckpointMismatch, match=r'model\.pth .*weights_sha256'):
        load_backbone(path)


def test_a_network_that_has_a_mask_does_not_accept_nan_in_it(tmp_path):
    from fdsr.models.files import check_values
    own = dict(mask=torch.tensor([0, -torch.inf]))
    check_values('file', own, own)
    check_values('file', own, dict(mask=torch.tensor([0, 0.])))
    for bad in ([0, torch.nan], [-torch.inf, 0], [0, torch.inf]):
        with pytest.raises(CheckpointMismatch, match='file .*mask holds values that'):
            check_values('file', own, dict(mask=torch.tensor(bad)))


def rewritten(path, change):
    """Changes the metadata of a safetensors file."""
    from safetensors import safe_open
    from safetensors.torch import save_file
    with safe_open(path, 'pt') as file:
        metadata = file.metadata()
        values = {key: file.get_tensor(key) for key in file.keys()}
    change(metadata, values)
    save_file(values, path, metadata)


def described(metadata, change):
    """Changes the description, with the right hash."""
    meta = json.loads(metadata['fdsr'])
    change(meta['fdsr'])
    text = json.dumps(meta)
    metadata.update(fdsr=text, fdsr_sha256=hashlib.sha256(text.encode()).hexdigest())


def without_spec(metadata):
    """Removes ModelSpec's keys, which earlier files lack."""
    for key in [key for key in metadata if key.startswith('modelspec.')]:
        del metadata[key]


def _other_scale(metadata, values):
    metadata['fdsr'] = metadata['fdsr'].replace('"scale": 2', '"scale": 3')


@pytest.mark.parametrize('change, message', [
    (_other_scale, 'differs from its'),
    (lambda metadata, values: metadata.pop('fdsr'), "no metadata 'fdsr'"),
    (lambda metadata, values: metadata.pop('fdsr_sha256'), "no metadata 'fdsr_sha256'"),
    (lambda metadata, values: metadata.pop('modelspec.hash_sha256'),
     "no metadata 'modelspec.hash_sha256'"),
    (lambda metadata, values: metadata.update({'modelspec.hash_sha256': '0x' + '0' * 64}
                                              ), 'tensors that differ from'),
    (lambda metadata, values: metadata.update(ss_epoch='3'),
     "the metadata 'ss_epoch' of another program"),
    (lambda metadata, values: described(metadata, lambda facts: facts.pop(
        'weights_sha256')), "no SHA-256 of the weights of 'generator'"),
    (lambda metadata, values: values.update(x=torch.zeros(2).to(torch.complex64)),
     "tensor 'x', of the dtype 'C64'"),
    (lambda metadata, values: values['generator.head.bias'].add_(1),
     'tensors that differ from')])
def test_safetensors_that_are_refused(change, message, network, tmp_path):
    path = tmp_path / 'model.safetensors'
    save_backbone(network, files.TINY, path)
    rewritten(path, change)
    with pytest.raises(ModelFileError, match=rf'model\.safetensors.*{message}'):
        load_backbone(path)


@pytest.mark.parametrize('change, message', [
    (lambda values: None, ''),
    (lambda values: values.pop('generator.head.bias'), 'head.bias is missing'),
    (lambda values: values['generator.head.bias'].mul_(torch.nan),
     'head.bias holds values that are not finite'),
    (lambda values: values['generator.head.bias'].add_(1),
     "weights of 'generator' differ.*write them with")])
def test_an_earlier_safetensors_file_has_no_modelspec(change, message, network,
                                                      tmp_path):
    path = tmp_path / 'model.safetensors'
    save_backbone(network, files.TINY, path)
    rewritten(path, lambda metadata, values: (without_spec(metadata), change(values)))
    if not message:
        assert torch.equal(load_backbone(path).head.bias, network.head.bias)
        return
    with pytest.raises(CheckpointMismatch, match=rf'model\.safetensors.*{message}'):
        load_backbone(path)


def test_a_published_file_initializes_a_run(network, tmp_path):
    """mmengine's loader reads both formats, for load_from and init_cfg."""
    from mmengine.runner.checkpoint import load_checkpoint

    from fdsr.weights import install_safe_loader
    install_safe_loader()
    holder = torch.nn.Module()
    holder.generator = MODELS.build(files.TINY)
    save_backbone(network, files.TINY, tmp_path / 'model.safetensors')
    load_checkpoint(holder, str(tmp_path / 'model.safetensors'), 'cpu', strict=True)
    assert torch.equal(holder.generator.head.weight, network.head.weight)


@pytest.mark.parametrize('content', [
    b'', b'text', b'\xff' * 100, b'\x02' + bytes(7) + b'{}',
    (1 << 40).to_bytes(8, 'little') + b'{}',
    (lambda header: len(header).to_bytes(8, 'little') + header)(json.dumps(
        {'a': dict(dtype='F32', shape=[10**9], data_offsets=[0, 4 * 10**9])}).encode())
])
def test_files_that_are_no_safetensors(content, tmp_path):
    path = tmp_path / 'model.safetensors'
    path.write_bytes(content)
    with pytest.raises(RefusedCheckpointError, match=r'model\.safetensors: expected'):
        load_backbone(path)


def test_a_command_in_safetensors_is_not_run(network, tmp_path):
    path, trace = tmp_path / 'model.safetensors', tmp_path / 'ran'
    save_backbone(network, files.TINY, path)

    rewritten(path, lambda metadata, values: described(
        metadata, lambda facts: facts['backbones'].update(generator=dict(
            type='subprocess.Popen', args=['touch', str(trace)]))))
    with pytest.raises(CheckpointMismatch, match=r'model\.safetensors.*Popen'):
        load_backbone(path)
    assert not trace.exists()
