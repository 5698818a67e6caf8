"""The command line that builds a dictionary, in a process of its own."""

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fdsr.dictionary.files import load_dictionary
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import FeatureEncoder
from fdsr.weights import sha256_of

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'build_dictionary.py'
CONFIG = """
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher', size=32, eye_share=0.3125, scale=4,
        encoder=dict(arch='tiny'), dictionary=dict(file='not_made_yet.pth')))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type='fdsr.DrawnFacesDataset', length=12, size=32,
        pipeline=[dict(type='fdsr.FlipFace', prob=1.0)]))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'teacher.py'
    path.write_text(CONFIG)
    return path


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls the tool in this process, which is spared the imports."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return run


def run_process(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], cwd=cwd, text=True,
        capture_output=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def read(path, **kwargs):
    encoder = FeatureEncoder('tiny')
    return load_dictionary(path, encoder, **dictionary_shape(encoder, 32, 0.3125),
                           **kwargs)


def test_help_is_instant(tmp_path):
    start = time.perf_counter()
    done = run_process('--help', cwd=tmp_path)
    assert time.perf_counter() - start < 1
    assert done.returncode == 0 and '--num-atoms' in done.stdout


def test_a_dictionary_is_built_from_a_config(config, call, tmp_path):
    out, again = tmp_path / 'new' / 'faces.pth', tmp_path / 'again' / 'faces.pth'
    options = ('--num-atoms', 5, '--max-faces', 9, '--seed', 3, '--batch-size', 2)
    done = run_process(config, '--out', out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    dictionary = read(out, dtype=torch.float16)
    assert dictionary.spec.num_atoms['mouth'] == [5, 5, 5, 5]
    meta = dictionary.metadata
    assert (meta['num_atoms'], meta['num_faces'], meta['skipped']) == (5, 9, 0)
    assert (meta['seed'], meta['size'], meta['eye_share']) == (3, 32, 0.3125)
    assert meta['source']['dataset'] == 'DrawnFacesDataset'
    assert 0.25 < meta['mean_eye_share'] < 0.35
    assert 0 < meta['explained']['nose'][0] < 1
    assert dictionary.external_weights.sha256 in done.stdout
    assert '18/18' in done.stderr, 'no progress was shown'
    call(config, '--out', again, *options)
    assert sha256_of(again) == sha256_of(out), 'the seed does not fix the result'


def test_an_interrupted_build_goes_on(config, call, tmp_path, monkeypatch):
    out, whole = tmp_path / 'cut' / 'faces.pth', tmp_path / 'whole' / 'faces.pth'
    options = ('--num-atoms', 5, '--batch-size', 4)
    with monkeypatch.context() as patch:
        patch.setattr('fdsr.dictionary.building.DictionaryBuilder.average', interrupt)
        with pytest.raises(KeyboardInterrupt):
            call(config, '--out', out, *options)
    partial = tmp_path / 'cut' / 'faces.pth.partial'
    assert partial.is_dir() and not out.exists()
    with pytest.raises(SystemExit, match='batch_size: expected 3, found 4'):
        call(config, '--out', out, *options[:3], 3)
    call(config, '--out', out, *options)
    call(config, '--out', whole, *options)
    assert sha256_of(out) == sha256_of(whole)
    assert not partial.exists()


def test_what_is_unfinished_can_be_thrown_away(config, call, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr('fdsr.dictionary.building.DictionaryBuilder.average', interrupt)
        with pytest.raises(KeyboardInterrupt):
            call(config, '--out', 'd.pth', '--num-atoms', 5)
    call(config, '--out', 'd.pth', '--num-atoms', 4, '--no-resume')
    assert read(tmp_path / 'd.pth').metadata['num_atoms'] == 4
    assert not (tmp_path / 'd.pth.partial').exists()


def interrupt(*_):
    raise KeyboardInterrupt


def test_faces_can_be_balanced_by_pose(config, call, tmp_path, capsys):
    call(config, '--out', 'd.pth', '--num-atoms', 3, '--max-faces', 5, '--balance',
         'pose', '--cfg-options', 'train_dataloader.dataset.length=40')
    meta = read(tmp_path / 'd.pth').metadata
    assert meta['balance'] == 'pose' and meta['num_faces'] == 5
    available, drawn = meta['pose']['available'], meta['pose']['drawn']
    assert sum(available) == 40 and sum(drawn) == 5 and len(drawn) == 5
    assert meta['pose']['edges'] == [-0.25, -0.1, 0.1, 0.25]
    assert f'{drawn} of {available}' in capsys.readouterr().out
    call(config, '--out', 'all.pth', '--num-atoms', 3)
    assert 'pose' not in read(tmp_path / 'all.pth').metadata


def test_options_reach_the_config(config, call, tmp_path):
    out = tmp_path / 'dictionary.pth'
    call(config, '--out', out, '--num-atoms', 4, '--dtype', 'float32', '--work-dir',
         tmp_path / 'work', '--cfg-options', 'train_dataloader.dataset.length=4')
    assert read(out).metadata['num_faces'] == 4
    assert (tmp_path / 'work').is_dir()
    stored = torch.load(out, weights_only=True)['atoms']['nose'][0]
    assert stored.dtype == torch.float32


def test_data_root_replaces_the_configs(config, call, tmp_path):
    config.write_text(CONFIG.replace(
        "type='fdsr.DrawnFacesDataset', length=12,",
        "type='fdsr.VGGFace2Dataset', data_root='nowhere',"))
    with pytest.raises(SystemExit, match='elsewhere'):
        call(config, '--out', 'd.pth', '--num-atoms', 2, '--data-root',
             tmp_path / 'elsewhere')


@pytest.mark.parametrize('arguments, message', [
    (['--num-atoms', '13'], '13 atoms a component need at least as many faces, found '
     '12'),
    (['--num-atoms', '0'], 'at least 1, found 0'),
    (['--num-atoms', '2', '--cfg-options', 'model.generator.type=DictionaryTeechr'],
     'DictionaryTeacher'),
    (['--num-atoms', '2', '--cfg-options', 'train_dataloader.dataset.size=64'],
     'sizes in the config the same'),
    (['--num-atoms', '2', '--out', '.'], 'expected a file'),
])
def test_what_the_user_can_mend_ends_with_a_message(
        config, call, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call(config, '--out', 'dictionary.pth', *arguments)
    assert not (tmp_path / 'dictionary.pth').exists()
