"""Folders for the Hugging Face hub: written, read back, downloaded and cached."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.interchange.publishing import publish
from fdsr.weights import ModelFileError, RefusedCheckpointError, sha256_of
from fdsr.weights.hub_files import find_pretrained
from tests.conftest import REPOSITORY
from tests.in_process import call_tool
from tests.interchange.publishing.hub_server import COMMIT, serve

METRICS = dict(
    protocol=dict(dataset=dict(name='my_faces', dataset='FaceFolder')), num_images=7,
    skipped=0, models=dict(bicubic={'PSNR': 20.0}, generator={
        'PSNR': 21.5, 'SSIM': 'inf'}, teacher={'PSNR': 99.0}))
FILES = ['README.md', 'config.json', 'model.safetensors']


@pytest.fixture(scope='module')
def published(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('hub') / 'tiny'
    metrics = source.with_name('metrics.json')
    metrics.write_text(json.dumps(METRICS))
    return publish(source, folder, 'Tiny', licence='CC-BY-NC-4.0', author='Someone',
                   about='Only frontal faces.', metrics=[metrics], half=False,
                   for_hub=True)


@pytest.fixture
def folder(published, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(published.path.parent, tmp_path / 'copy')


def test_the_folder_has_three_files(published):
    assert sorted(path.name for path in published.path.parent.iterdir()) == FILES
    config = json.loads((published.path.parent / 'config.json').read_text())
    network = load_backbone(published.path)
    assert config['architecture'] == 'fdsr.RCAN' and config['scale'] == network.scale
    assert config['sha256'] == sha256_of(published.path)
    assert config['input_size'] * config['scale'] == config['output_size'] == 256
    assert config['parameters'] == sum(value.numel() for value in network.parameters())


def test_the_card_has_a_header_that_the_hub_reads(published):
    hub = pytest.importorskip('huggingface_hub')
    card = hub.ModelCard.load(published.card)
    data = card.data
    assert (data.license, data.library_name) == ('cc-by-nc-4.0', 'fdsr')
    assert data.pipeline_tag == 'image-to-image' and 'super-resolution' in data.tags
    assert data.metrics == ['psnr'] and data.model_name == 'Tiny'
    [result] = data.eval_results  # infinity is not JSON: the row shows it, no result
    assert (result.metric_type, result.metric_value) == ('psnr', 21.5)
    assert (result.dataset_name, result.dataset_type) == ('my_faces', 'FaceFolder')
    assert card.text.strip().startswith('# Tiny') and 'Only frontal faces.' in card.text
    assert "FaceSuperResolver.from_pretrained('OWNER/NAME')" in card.text
    assert published.facts.sha256 in card.text


def test_another_licence_is_named_as_such(source, tmp_path):
    done = publish(source, tmp_path / 'a', 'x', licence='ask: us', for_hub=True)
    header = yaml.safe_load(done.card.read_text().split('---')[1])
    assert (header['license'], header['license_name']) == ('other', 'ask: us')
    assert 'model-index' not in header


@pytest.mark.parametrize('models, message', [
    (dict(bicubic={}, a={}, b={}), "rows 'a', 'b': expected one for the network"),
    (dict(bicubic={}), 'rows of bicubic: expected')])
def test_results_of_another_network_are_refused(models, message, source, tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(dict(METRICS, models=models)))
    with pytest.raises(ValueError, match=message):
        publish(source, tmp_path / 'out', 'x', licence='MIT', metrics=[path],
                for_hub=True)
    assert not (tmp_path / 'out').exists()


def test_a_folder_is_opened_without_the_package(published, source, monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), 'u1')
    for folder in (published.path.parent, str(published.path.parent)):
        found = FaceSuperResolver.from_pretrained(folder, device='cpu', batch_size=2)
        assert found.batch_size == 2
        assert np.array_equal(found(face), FaceSuperResolver(source, 'cpu')(face))
    with pytest.raises(ImportError, match=r'owner/name does .*install "fdsr\[hub\]"$'):
        FaceSuperResolver.from_pretrained('owner/name')


@pytest.mark.parametrize('name', [
    'tiny', '../x', './owner/name', 'owner/..', 'owner/na..me', '../../etc', 'a/b/c',
    '', 'owner/name\n', 'owner/-name', '/no/such', 'owner\\name'])
def test_what_is_neither_folder_nor_repository(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='does not exist|has no file'):
        find_pretrained(name)


def test_a_folder_without_the_file_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match="copy is a folder, .* no revision 'v1'"):
        find_pretrained(folder, 'v1')
    (folder / 'model.safetensors').rename(folder / 'other.safetensors')
    for link in (False, True):
        if link:
            (folder / 'model.safetensors').symlink_to(tmp_path / 'nowhere')
        with pytest.raises(FileNotFoundError, match=r'copy has no file model\.safeten'):
            FaceSuperResolver.from_pretrained(folder)


def test_a_damaged_file_of_a_folder_is_refused(folder):
    data = bytearray((folder / 'model.safetensors').read_bytes())
    data[-1] ^= 4
    (folder / 'model.safetensors').write_bytes(data)
    with pytest.raises(ModelFileError, match=r"model\.safetensors.*'modelspec\.hash_"):
        FaceSuperResolver.from_pretrained(folder)


def test_a_linked_file_is_checked_like_others(folder, published, tmp_path):
    model = folder / 'model.safetensors'
    model.unlink()
    model.symlink_to(published.path)  # as in the hub's cache
    FaceSuperResolver.from_pretrained(folder, device='cpu')
    other = tmp_path / 'secret.txt'
    other.write_text('my text')
    model.unlink()
    model.symlink_to(other)
    with pytest.raises(RefusedCheckpointError) as refusal:
        FaceSuperResolver.from_pretrained(folder)
    assert 'my text' not in str(refusal.value)


_ASK = '''
import json, sys
from fdsr.weights.hub_files import find_pretrained
found = []
for name, revision in json.loads(sys.argv[1]):
    try:
        found.append(str(find_pretrained(name, revision)))
    except Exception as error:
        found.append(f'{type(error).__name__}: {error}')
assert 'torch' not in sys.modules
print(json.dumps(found))
'''


def ask(home, questions, **environment):
    """Returns the answers of a process, whose cache is in ``home``."""
    done = subprocess.run(
        [sys.executable, '-c', _ASK, json.dumps(questions)], text=True, check=True,
        stdout=subprocess.PIPE, cwd=home, env={
            **os.environ, 'PYTHONPATH': str(REPOSITORY), 'HF_HOME': str(home / 'home'),
            'HF_HUB_DISABLE_TELEMETRY': '1', **environment})
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(300)
def test_a_repository_is_downloaded_once_and_then_read_offline(folder, published,
                                                               tmp_path, monkeypatch):
    hub = pytest.importorskip('huggingface_hub')
    (folder / 'model.py').write_text('raise SystemExit')
    (folder / 'model.bin').write_text('pickle')
    shutil.copytree(folder, tmp_path / 'other')
    (tmp_path / 'other' / 'model.safetensors').unlink()
    with serve({'tiny': folder, 'empty': tmp_path / 'other'}) as (address, requested):
        first, same, revision, missing, empty = ask(tmp_path, [
            ('owner/tiny', None), ('owner/tiny', COMMIT), ('owner/tiny', 'v9'),
            ('owner/none', None), ('owner/empty', None)], HF_ENDPOINT=address)
    assert first == same and sha256_of(first) == published.facts.sha256
    snapshot = os.path.dirname(first)
    assert sorted(os.listdir(snapshot)) == FILES and COMMIT in snapshot
    assert not [path for path in requested if 'model.py' in path or '.bin' in path]
    assert revision == ("FileNotFoundError: owner/tiny has no revision 'v9': pass a "
                        'branch, a tag or a commit.')
    assert missing.startswith('FileNotFoundError: owner/none is neither a folder nor '
                              'a public repository: correct the name, ')
    assert empty.startswith('FileNotFoundError: owner/empty has no file model.safeten')

    questions = [('owner/tiny', None), ('owner/tiny', COMMIT), ('owner/new', None)]
    for environment in (dict(HF_HUB_OFFLINE='1'), dict(HF_ENDPOINT=address)):  # closed
        cached, by_commit, absent = ask(tmp_path, questions, **environment)
        assert cached == by_commit == first
        assert absent.startswith('ConnectionError: owner/new is not in the local '
                                 'cache, and the hub cannot be reached: connect ')

    monkeypatch.setattr(hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'home' / 'hub'))
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), 'u1')
    found = FaceSuperResolver.from_pretrained('owner/tiny', device='cpu')
    assert np.array_equal(found(face), FaceSuperResolver(published.path, 'cpu')(face))


def test_the_tool_writes_a_folder(source, tmp_path):
    tool = REPOSITORY / 'tools/publish_model.py'
    done = call_tool(tool, source, '--name', 'x', '--licence', 'MIT', '--hub-folder',
                     tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == FILES
    done = call_tool(tool, source, '--name', 'x', '--licence', 'MIT', '--hub-folder',
                     tmp_path / 'out', '--out', tmp_path)
    assert done.returncode == 2 and 'not allowed with' in done.stderr
