"""Torch files with tensors that are not dense, huge or nowhere are refused by name."""

import io
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from fdsr.weights import RefusedCheckpointError, install_safe_loader, safe_load
from tests.conftest import SHARED

CASES = ('coo_bad.pth', 'coo_bad_unused.pth', 'csr4d.pth', 'text.pth')


def loaders():
    install_safe_loader()
    return safe_load, lambda path: CheckpointLoader.load_checkpoint(str(path), 'cpu')


def refused(path, *parts):
    for load in loaders():
        with pytest.raises(RefusedCheckpointError) as error:
            load(path)
        for part in (str(path), 'expected a torch file of dense tensors', *parts):
            assert part in str(error.value)


def quantised():
    return torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8)


def shadowed():
    """A parameter whose attribute hides a method."""
    value = torch.nn.Parameter(torch.rand(3))
    value.numel = 5
    return value


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('make, message', [
    (lambda: torch.eye(3).to_sparse(), 'not a dense tensor'),
    (lambda: torch.eye(3).to_sparse_csr(), 'not a dense tensor'),
    (quantised, 'not a dense tensor'),
    (lambda: torch.rand(3, dtype=torch.complex64), 'of the dtype torch.complex64'),
    (lambda: torch.rand(3).to(torch.float8_e5m2), 'of the dtype torch.float8_e5m2'),
    (lambda: torch.empty(3, device='meta'), 'on the device meta'),
    (lambda: torch.zeros(1).expand(10**5), '400000 bytes in a file of'),
    (lambda: torch.zeros(9).as_strided((10**4, 9), (0, 1)), 'of shape (10000, 9)'),
    (shadowed, 'with attributes'),
], ids=['coo', 'csr', 'quantised', 'complex', 'float8', 'meta', 'expanded', 'strided',
        'shadowed'])
def test_an_unusual_tensor_is_named(make, message, tmp_path):
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': {'ok': torch.zeros(2), 'w': make()}}, path)
    refused(path, 'state_dict.w, which is', message)
    torch.save({'meta': [1, {'deep': (0, make())}]}, path)
    refused(path, 'meta[1].deep[1]', message)


def test_many_views_of_one_storage_are_no_more_than_it(tmp_path):
    values = torch.zeros(10**5)
    path = tmp_path / 'views.pth'
    torch.save({str(k): values[k:-100 + k] for k in range(100)}, path)
    refused(path, 'tensors of ')
    torch.save({'one': values, 'same': values, 'half': values[::2]}, path)
    assert len(safe_load(path)) == 3


def test_what_runs_save_is_loaded(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = {
        'state_dict': model.state_dict(), 'optimizer': optimizer.state_dict(),
        'random': torch.get_rng_state(), 'flags': [torch.tensor(True), torch.ones(0)],
        'inf': torch.tensor(torch.inf), 'parameter': model[0].weight,
        'turned': torch.rand(4, 5).T}
    path = tmp_path / 'run.pth'
    for legacy in (True, False):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        for found in (*(load(path) for load in loaders()),
                      *([] if legacy else [safe_load(path, mmap=True)])):
            assert torch.equal(found['turned'], content['turned'])
            assert found['optimizer']['state'][0]['step'] == 1


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """Writes a zip file's records anew."""
    with zipfile.ZipFile(path) as old:
        records = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, 'w', compression) as new:
        for name, data in records.items():
            new.writestr(name, change(name, data))


def test_compressed_records_are_refused(tmp_path):
    """Megabytes of zeros would compress a thousandfold."""
    path = tmp_path / 'bomb.pth'
    torch.save({'w': torch.zeros(10**6)}, path)
    rewritten(path, lambda name, data: data)
    assert safe_load(path)['w'].shape == (10**6, )
    rewritten(path, lambda name, data: data, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    refused(path, 'the compressed record')


def test_a_storage_that_is_larger_than_its_record_is_refused(tmp_path):
    path = tmp_path / 'model.pth'
    torch.save({'w': torch.zeros(10)}, path)
    rewritten(path, lambda name, data: data.replace(b'K\n', b'K\xff')
              if name.endswith('data.pkl') else data)
    refused(path)


def test_text_and_other_pickles_are_refused(tmp_path):
    path = tmp_path / 'text.pth'
    for content in (b'hello, this is a text\n' * 20, b'version https://git-lfs\n',
                    pickle.dumps(5), b'\x80\x02', b'PK\x03\x04' * 100, bytes(1000)):
        path.write_bytes(content)
        refused(path)


@pytest.mark.parametrize('kept', [0, 1, 40, 200, -200, -1])
def test_a_legacy_file_that_was_cut_off_is_refused(kept, tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save({'w': torch.rand(100)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, 'fetch it again')


def test_keys_and_checkpoints_of_other_types_are_refused(tmp_path):
    path = tmp_path / 'model.pth'
    torch.save({(1, 2): torch.zeros(1)}, path)
    refused(path, 'a key of type tuple')
    for content in ([1], {'state_dict': [1]}, {'state_dict': {5: torch.zeros(1)}}):
        torch.save(content, path)
        with pytest.raises(RefusedCheckpointError, match=r'model\.pth'):
            loaders()[1](path)


def test_references_that_go_round_or_multiply_are_walked_once(tmp_path):
    content = [torch.zeros(1)]
    for _ in range(100):
        content = [content] * 10
    content[0].append(content)
    torch.save({'w': content}, tmp_path / 'model.pth')
    assert safe_load(tmp_path / 'model.pth')


_IN_LITTLE_MEMORY = '''
import resource, sys
from fdsr.weights import RefusedCheckpointError, safe_load
import torch
# what is reserved counts as well; one thread reserves little
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        safe_load(path)
    except RefusedCheckpointError as error:
        assert path in str(error) and len(str(error)) < 2000
        print(error)
print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
'''


def nested(levels, inner=None):
    for _ in range(levels):
        inner = [inner]
    return inner


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_keys_and_levels_take_little_memory(tmp_path):
    """Paths of keys are put together for messages only."""
    contents = {
        'long key': {'K' * 2_000_000: [[] for _ in range(20_000)]},
        'long key, deep': nested(140, {'K' * 4096: nested(140)}),
        'many dicts': {'x': [{'K' * 4096: {}} for _ in range(10**5)]},
        'many lists': {'x': [[] for _ in range(300_000)]},
        'deep': None, 'bytearray': None}
    paths = []
    for name, content in contents.items():
        paths.append(tmp_path / f'{name}.pth')
        torch.save(content, paths[-1])
    # what pickle.dumps writes for 10**6 lists in each other, were it not recursive
    replaced(paths[4], b'\x80\x02' + b']' * 10**6 + b'a' * (10**6 - 1) + b'.')
    replaced(paths[5], b'\x80\x02c__builtin__\nbytearray\nJ\x00\x94\x35\x77\x85R.')
    done = subprocess.run([sys.executable, '-c', _IN_LITTLE_MEMORY, *map(str, paths)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *messages, peak = done.stdout.splitlines()
    assert int(peak) < 700  # MiB
    for name, message in zip(
            ('long key', 'long key, deep', 'many lists', 'deep', 'bytearray'),
            messages, strict=True):
        assert f'{name}.pth' in message
    for part in ('a key of 2000000 characters', 'more than 256 levels',
                 'more than 250000 tensors', 'a bytearray, which'):
        assert part in done.stdout


def replaced(path, pickled):
    """Puts another pickle into a torch file."""
    rewritten(path, lambda name, data: pickled if name.endswith('data.pkl') else data)


@pytest.mark.parametrize('legacy', [True, False])
def test_a_bytearray_is_refused_before_it_is_made(legacy, tmp_path, monkeypatch):
    path = tmp_path / 'model.pth'
    for value in (bytearray(3), {'x': [bytearray(b'text')]}):
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)
        refused(path, 'a bytearray')
    # across two chunks, wherever the end of the first is
    monkeypatch.setattr('fdsr.weights.content._CHUNK', 24)
    for shift in range(24):
        torch.save(['x' * shift, bytearray(3)], path)
        refused(path, 'a bytearray')


def test_a_dict_whose_methods_are_hidden_is_refused(tmp_path):
    state = OrderedDict(w=torch.zeros(1))
    state._metadata = {}
    torch.save(dict(state_dict=state), tmp_path / 'model.pth')
    assert safe_load(tmp_path / 'model.pth')
    state.get = 5  # as a pickle could set items
    torch.save(dict(state_dict=state), tmp_path / 'model.pth')
    refused(tmp_path / 'model.pth', 'a dict with attributes in state_dict')


@pytest.mark.parametrize('version', ['2.9.1', '2.6.0+cu124', '1.13.1', 'unknown'])
def test_an_earlier_torch_loads_nothing(version, tmp_path, monkeypatch):
    path = tmp_path / 'model.pth'
    torch.save({'w': torch.zeros(1)}, path)
    load = loaders()
    monkeypatch.setattr(torch, '__version__', version)
    for one in (*load, lambda path: install_safe_loader()):
        with pytest.raises(RuntimeError, match=rf'torch {version.split("+")[0]}.* is '
                           r'installed; loading needs torch >= 2\.10.*CVE-2026-24747'):
            one(path)


def test_later_versions_of_torch_load(tmp_path, monkeypatch):
    torch.save({'w': torch.zeros(1)}, tmp_path / 'model.pth')
    for version in ('2.10.0', '2.14.1+cu130', '3.0'):
        monkeypatch.setattr(torch, '__version__', version)
        assert safe_load(tmp_path / 'model.pth')


def test_a_file_in_memory_is_checked_likewise(monkeypatch):
    """mmengine's schemes for object stores load from memory."""
    install_safe_loader()
    monkeypatch.setattr(CheckpointLoader, '_schemes', CheckpointLoader._schemes.copy())
    file = io.BytesIO()
    torch.save({'w': torch.zeros(1).expand(10**6)}, file)
    file.seek(0)

    @CheckpointLoader.register_scheme(prefixes='memory://')
    def load_from_memory(filename, map_location):
        return torch.load(file, map_location)
    with pytest.raises(RefusedCheckpointError, match='memory://x.*shape'):
        CheckpointLoader.load_checkpoint('memory://x', 'cpu')


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', CASES)
def test_the_malformed_files_of_the_issue_are_refused(name, tmp_path):
    if not (SHARED / 'cases' / name).is_file():
        pytest.skip(f'shared/cases/{name} is not on this machine')
    shutil.copy(SHARED / 'cases' / name, tmp_path)
    refused(tmp_path / name)
