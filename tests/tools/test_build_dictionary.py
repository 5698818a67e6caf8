"""The command line that builds a dictionary, in a process of its own."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import TinyEncoder
from fdsr.models.dictionary.files import load_dictionary
from fdsr.weights import sha256_of
from tests import warm
from tests.datasets.conftest import toy_root  # noqa: F401  a fixture
from tests.hostile import BROKEN, DOT, GOOD
from tests.in_process import call_tool

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'build_dictionary.py'
CONFIG = """
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher', size=32, eye_share=0.3125, scale=4,
        encoder=dict(type='fdsr.TinyEncoder'),
        dictionary=dict(file='not_made_yet.pth')))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type='fdsr.SyntheticFacesDataset', length=12, size=32,
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
    """Runs the tool in a real interpreter."""
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], cwd=cwd, text=True,
        capture_output=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def read(path, **kwargs):
    encoder = TinyEncoder()
    return load_dictionary(path, encoder, **dictionary_shape(encoder, 32, 0.3125),
                           **kwargs)


def test_help_imports_no_heavy_package(tmp_path):
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', str(TOOL), '--help'], cwd=tmp_path,
        text=True, capture_output=True)
    assert done.returncode == 0 and '--num-atoms' in done.stdout
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'argparse' in imported and not {'torch', 'numpy', 'mmengine'} & imported


@pytest.mark.slow
def test_a_dictionary_is_built_from_a_config(config, call, tmp_path):
    out, again = (tmp_path / name / 'faces.safetensors' for name in ('new', 'again'))
    options = ('--num-atoms', 5, '--max-faces', 9, '--seed', 3, '--batch-size', 2)
    done = run_process(config, '--out', out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    dictionary = read(out, dtype=torch.float16)
    assert dictionary.spec.num_atoms['mouth'] == [5, 5, 5, 5]
    meta = dictionary.metadata
    assert (meta['num_atoms'], meta['num_faces'], meta['skipped']) == (5, 9, 0)
    assert (meta['seed'], meta['size'], meta['eye_share']) == (3, 32, 0.3125)
    assert meta['source']['dataset'] == 'SyntheticFacesDataset'
    assert 0.25 < meta['mean_eye_share'] < 0.35
    assert 0 < meta['explained']['nose'][0] < 1
    assert dictionary.external_weights.sha256 in done.stdout
    assert '18/18' in done.stderr, 'no progress was shown'
    call(config, '--out', again, *options)
    assert sha256_of(again) == sha256_of(out), 'the seed does not fix the result'


def test_an_interrupted_build_goes_on(config, call, tmp_path, monkeypatch, capsys):
    out, whole = (tmp_path / name / 'faces.safetensors' for name in ('cut', 'whole'))
    options = ('--num-atoms', 5, '--batch-size', 4)
    with monkeypatch.context() as patch:
        patch.setattr(
            'fdsr.preparation.dictionary.building.DictionaryBuilder.average', interrupt)
        with pytest.raises(SystemExit) as stop:
            call(config, '--out', out, *options)
    said = capsys.readouterr().err
    assert stop.value.code == 130 and 'Traceback' not in said
    assert f'Run the same command again to resume from {out}.partial' in said
    partial = tmp_path / 'cut' / 'faces.safetensors.partial'
    assert partial.is_dir() and not out.exists()
    with pytest.raises(SystemExit, match='batch_size: expected 3, found 4'):
        call(config, '--out', out, *options[:3], 3)
    call(config, '--out', out, *options)
    call(config, '--out', whole, *options)
    assert sha256_of(out) == sha256_of(whole)
    assert not partial.exists()


def test_what_is_unfinished_can_be_thrown_away(config, call, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            'fdsr.preparation.dictionary.building.DictionaryBuilder.average', interrupt)
        with pytest.raises(SystemExit, match='130'):
            call(config, '--out', 'd.pth', '--num-atoms', 5)
    call(config, '--out', 'd.pth', '--num-atoms', 4, '--no-resume')
    assert read(tmp_path / 'd.pth').metadata['num_atoms'] == 4
    assert not (tmp_path / 'd.pth.partial').exists()


def interrupt(*_):
    raise KeyboardInterrupt


SINGLY = ['--num-atoms', '5', '--batch-size', '1']


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Returns the SHA-256 of what an undisturbed build with ``SINGLY`` writes."""
    folder = tmp_path_factory.mktemp('whole')
    (folder / 'teacher.py').write_text(CONFIG)
    done = call_tool(TOOL, folder / 'teacher.py', '--out', folder / 'd.pth',
                     '--work-dir', folder, *SINGLY)
    assert done.returncode == 0, done.stderr
    return sha256_of(folder / 'd.pth')


# Runs the tool where no file can grow beyond so many bytes.
LIMITED = """
import resource, runpy, sys
from fdsr.registry import register_all
register_all()
import fdsr.preparation.dictionary.from_config
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.argv = sys.argv[2:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.slow
@pytest.mark.parametrize('limit, file', [
    (10_000, 'd.pth.partial/points_000000.npy'), (30_000, 'd.pth')])
def test_a_full_disk_stops_with_a_message(config, call, tmp_path, limit, file, whole):
    options = [str(config), *SINGLY, '--out']
    done = subprocess.run(
        [warm.python(), '-c', LIMITED, str(limit), str(TOOL), *options, 'd.pth'],
        cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert f'{file} ' in done.stderr
    assert re.search('Free disk space and run the', done.stderr)
    assert not (tmp_path / 'd.pth').exists() and not list(tmp_path.rglob('*.part-*'))
    call(*options, 'd.pth')
    assert sha256_of(tmp_path / 'd.pth') == whole


@pytest.mark.slow
@pytest.mark.parametrize('workers', ['0', '1'])
def test_ctrl_c_tells_how_to_go_on(config, call, tmp_path, workers, whole):
    options = [str(config), '--num-workers', workers, *SINGLY, '--out']
    # in the background a process may begin with Ctrl-C ignored, and its children too
    running = subprocess.Popen(
        [warm.python(), str(TOOL), *options, 'd.pth'], cwd=tmp_path, text=True,
        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=lambda:
        signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    partial = tmp_path / 'd.pth.partial'
    while running.poll() is None and len(list(partial.glob('points_*.npy'))) < 3:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert 'd.pth.partial' in said and 'Traceback' not in said
    assert 3 <= len(list(partial.glob('points_*.npy'))) < 12
    call(*options, 'd.pth')
    assert sha256_of(tmp_path / 'd.pth') == whole


def photographs(config, toy, **dataset):
    """Lets a config train on photographs."""
    settings = dict(type='fdsr.VGGFace2Dataset', data_root=str(toy.root), size=32,
                    align='five_point', eye_share=0.3125, **dataset)
    config.write_text(CONFIG.partition('train_dataloader')[0]
                      + f'train_dataloader = dict(batch_size=4, dataset={settings})\n')


def test_bad_pictures_are_left_out_and_odd_ones_are_not(config, call, tmp_path,
                                                        toy_root):  # noqa: F811
    toy = toy_root(identities=7)
    for name, data in zip(toy.names, [*GOOD.values(), DOT, *dict(BROKEN.values())]):
        toy.image(name).write_bytes(data)
    toy.change(toy.landmarks, toy.names[-1], None)
    photographs(config, toy, max_bad_share=1)
    call(config, '--out', 'd.pth', '--num-atoms', 3)
    meta = read(tmp_path / 'd.pth').metadata
    bad = 1 + len(BROKEN)
    # the row without landmarks was no face to begin with
    assert (meta['skipped'], meta['num_faces']) == (bad, 28 - bad - 1)


def test_too_many_bad_pictures_stop_with_the_list(config, call, tmp_path,
                                                  toy_root):  # noqa: F811
    toy = toy_root()
    for name in toy.names[:3]:
        toy.image(name).write_bytes(b'')
    photographs(config, toy)
    with pytest.raises(SystemExit, match='max_bad_share.*skipped_vggface2_train.csv'):
        call(config, '--out', 'd.pth', '--num-atoms', 3)


@pytest.mark.parametrize('spoil, message', [
    (lambda text: text.replace('P3X', 'NOSE'), 'lacks the column.*P3X'),
    (lambda text: '', 'loose_landmark_train.csv is empty')])
def test_bad_tables_are_named(config, call, toy_root, spoil, message):  # noqa: F811
    toy = toy_root()
    toy.landmarks.write_text(spoil(toy.landmarks.read_text()))
    photographs(config, toy)
    with pytest.raises(SystemExit, match=message):
        call(config, '--out', 'd.pth', '--num-atoms', 3)


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
        "type='fdsr.SyntheticFacesDataset', length=12,",
        "type='fdsr.VGGFace2Dataset', data_root='nowhere',"))
    with pytest.raises(SystemExit, match='elsewhere'):
        call(config, '--out', 'd.pth', '--num-atoms', 2, '--data-root',
             tmp_path / 'elsewhere')


@pytest.mark.parametrize('arguments, message', [
    (['--num-atoms', '13'], '13 atoms per component need at least as many faces, found '
     '12'),
    (['--num-atoms', '0'], 'at least 1, found 0'),
    (['--num-atoms', '2', '--cfg-options', 'model.generator.type=DictionaryTeechr'],
     'DictionaryTeacher'),
    (['--num-atoms', '2', '--cfg-options', 'train_dataloader.dataset.size=64'],
     'the same size for both in the config'),
    (['--num-atoms', '2', '--out', '.'], 'expected a file'),
])
def test_what_the_user_can_mend_ends_with_a_message(
        config, call, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call(config, '--out', 'dictionary.pth', *arguments)
    assert not (tmp_path / 'dictionary.pth').exists()
    if not message.startswith('the same size'):  # that shows when faces are read
        assert not (tmp_path / 'dictionary.pth.partial').exists()


@pytest.mark.parametrize('option, value', [
    ('--max-faces', 0), ('--batch-size', 0), ('--seed', -1), ('--num-workers', -1)])
def test_numbers_that_are_none_are_told(config, call, tmp_path, capsys, option, value):
    with pytest.raises(SystemExit):
        call(config, '--out', 'd.pth', '--num-atoms', 2, option, value)
    assert f'{option}: {value} is less than' in capsys.readouterr().err
    assert not (tmp_path / 'd.pth.partial').exists()


def test_a_device_that_is_not_there_begins_nothing(config, call, tmp_path):
    with pytest.raises((RuntimeError, AssertionError)):
        call(config, '--out', 'd.pth', '--num-atoms', 2, '--device', 'cuda:99')
    assert not (tmp_path / 'd.pth.partial').exists()


def test_two_builds_of_one_file_do_not_meet(config, call, tmp_path):
    with FileLock(tmp_path / 'd.pth.lock'):
        for options in ([], ['--no-resume']):
            with pytest.raises(SystemExit, match='Another run is building d.pth'):
                call(config, '--out', 'd.pth', '--num-atoms', 2, *options)
    assert [path.name for path in tmp_path.glob('d.pth*')] == ['d.pth.lock']
    call(config, '--out', 'd.pth', '--num-atoms', 2)
    assert (tmp_path / 'd.pth').is_file() and not (tmp_path / 'd.pth.partial').exists()
