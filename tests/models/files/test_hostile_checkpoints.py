"""Files whose loading would run code are refused, by every road into the project."""

import contextlib
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.cli.infer import main
from fdsr.evaluation.fid import build_inception
from fdsr.interchange.conversion import convert
from fdsr.interchange.publishing.publish import publish
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.models.restorers.teacher import build_teacher
from fdsr.preparation.dictionary.resume import BuildState
from fdsr.profiling.subjects import subjects_of_checkpoint
from fdsr.weights import RefusedCheckpointError, sha256_of, vgg_state_dict
from tests import toy
from tests.conftest import SHARED
from tests.hostile import Code
from tests.models.files import files

TOOLS = Path(__file__).resolve().parents[3] / 'tools'


@pytest.fixture
def trace(tmp_path):
    return tmp_path / 'the_code_was_run'


@pytest.fixture(params=['zip', 'legacy', 'pickle'])
def hostile(tmp_path, trace, request):
    """A checkpoint with code in it, in each container that torch.load reads."""
    path = tmp_path / 'hostile.pth'
    content = {'meta': {'fdsr': Code(trace), 'iter': 1, 'epoch': 0},
               'state_dict': {'w': torch.zeros(1)}, 'optimizer': {}}
    if request.param == 'pickle':
        path.write_bytes(pickle.dumps({'meta': Code(trace)}, protocol=2))
    else:
        torch.save(content, path,
                   _use_new_zipfile_serialization=request.param == 'zip')
    return path


AVERAGED = [dict(type='fdsr.TrainedEMAHook', name='generator')]


def face_in(folder):
    """An image of a face's size, for the command."""
    from PIL import Image
    Image.new('RGB', (8, 8), 'grey').save(folder / 'face.png')
    return folder / 'face.png'


def resumed_last(folder, path):
    """A run that goes on from the last checkpoint of its folder."""
    work = folder / 'last'
    work.mkdir(exist_ok=True)
    (work / 'last_checkpoint').write_text(str(path))
    return toy.restorer_config(work, resume=True)


def run_tool(monkeypatch, name, *arguments):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    runpy.run_path(str(TOOLS / name), run_name='__main__')


def roads(tmp_path, monkeypatch):
    """By name, what a person would do with a checkpoint."""
    def toy_config():
        toy.restorer_config(tmp_path / 'run').dump(tmp_path / 'toy_config.py')
        return tmp_path / 'toy_config.py'

    return {
        'load_backbone': load_backbone,
        'FaceSuperResolver': lambda path: FaceSuperResolver(path, 'cpu'),
        'fdsr --weights': lambda path: main([
            str(face_in(tmp_path)), '--weights', str(path), '--out',
            str(tmp_path / 'out')]),
        'publish': lambda path: publish(path, tmp_path, 'x', licence='MIT'),
        'convert': lambda path: convert('rcan', path, tmp_path / 'converted.pth'),
        'profile': subjects_of_checkpoint,
        'FID': lambda path: build_inception(path, sha256_of(path)),
        'VGG': lambda path: vgg_state_dict('vgg16', path, sha256_of(path)),
        'teacher': lambda path: build_teacher(str(path)),
        'model.teacher': lambda path: toy.train(toy.distiller_config(tmp_path, path)),
        'model.init_from': lambda path: toy.train(
            toy.restorer_config(tmp_path, model__init_from=str(path))),
        'load_from': lambda path: toy.train(
            toy.restorer_config(tmp_path, load_from=str(path))),
        'resume': lambda path: toy.train(
            toy.restorer_config(tmp_path, load_from=str(path), resume=True)),
        'load_from, averaged': lambda path: toy.train(toy.restorer_config(
            tmp_path, load_from=str(path), custom_hooks=AVERAGED)),
        'resume, averaged': lambda path: toy.train(toy.restorer_config(
            tmp_path, load_from=str(path), resume=True, custom_hooks=AVERAGED)),
        'resume, the last': lambda path: toy.train(resumed_last(tmp_path, path)),
        'init_cfg': lambda path: toy.train(toy.restorer_config(
            tmp_path, model__init_cfg=dict(type='Pretrained', checkpoint=str(path)))),
        'dictionary': lambda path: toy.train(toy.restorer_config(
            tmp_path, {**toy.TEACHER, 'dictionary': dict(file=str(path))})),
        'tools/train.py --resume': lambda path: run_tool(
            monkeypatch, 'train.py', toy_config(), '--resume', path),
        'tools/test.py': lambda path: run_tool(
            monkeypatch, 'test.py', toy_config(), path),
    }


#: Those that read what backbones a checkpoint describes, or its values for one.
MODEL_ROADS = [
    'load_backbone', 'FaceSuperResolver', 'fdsr --weights', 'publish', 'profile',
    'teacher', 'model.teacher', 'model.init_from', 'load_from', 'resume',
    'load_from, averaged', 'resume, averaged', 'resume, the last',
    'tools/train.py --resume', 'tools/test.py']
ROADS = [*MODEL_ROADS, 'init_cfg', 'dictionary', 'convert', 'FID', 'VGG']


@pytest.mark.parametrize('road', ROADS)
def test_code_in_a_checkpoint_is_refused(road, hostile, trace, tmp_path, monkeypatch):
    with pytest.raises((RefusedCheckpointError, SystemExit)) as error:
        roads(tmp_path, monkeypatch)[road](hostile)
    assert 'hostile.pth' in str(error.value) and 'mkdir' in str(error.value)
    assert not trace.exists()


def test_the_code_would_run_if_it_were_loaded(hostile, trace):
    with contextlib.suppress(RuntimeError):  # a bare pickle is no checkpoint after all
        torch.load(hostile, weights_only=False)
    assert trace.exists()


def test_a_config_in_a_checkpoint_is_not_run(tmp_path, trace):
    """mmengine's resume runs the text of a config that a checkpoint may carry."""
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    content = torch.load(tmp_path / 'iter_3.pth', weights_only=True)
    content['meta']['config'] = f'import os\nos.mkdir({str(trace)!r})\n'
    torch.save(content, tmp_path / 'iter_3.pth')
    runner = toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=4,
                                           resume=True))
    assert runner.iter == 4
    assert not trace.exists()


@pytest.fixture
def started(monkeypatch):
    """Arguments of the ``touch`` commands that were started, which none should be."""
    found = []

    class Spy(subprocess.Popen):
        def __init__(self, args, *others, **options):
            if 'touch' in args:
                found.append(args)
                args = ['true']
            super().__init__(args, *others, **options)
    monkeypatch.setattr(subprocess, 'Popen', Spy)
    return found


@pytest.mark.parametrize('road', MODEL_ROADS)
def test_a_command_in_a_checkpoint_is_not_run(road, started, trace, tmp_path,
                                              monkeypatch):
    """The config of a backbone names what runs a command, or makes a folder."""
    for config in (dict(type='subprocess.Popen', args=['touch', str(trace)]),
                   dict(type='os.mkdir', path=str(trace))):
        path = files.write(tmp_path / 'hostile.pth', config)
        with pytest.raises((CheckpointMismatch, SystemExit)) as error:
            roads(tmp_path, monkeypatch)[road](path)
        assert 'hostile.pth' in str(error.value)
        assert not started and not trace.exists()


def test_the_command_would_be_run_if_it_were_built(started, trace):
    from fdsr.registry import MODELS
    MODELS.build(dict(type='subprocess.Popen', args=['touch', str(trace)])).wait()
    assert started


def test_code_in_an_unfinished_dictionary_is_refused(hostile, trace, tmp_path):
    state = BuildState(tmp_path / 'state', dict(seed=1))
    hostile.rename(tmp_path / 'state' / 'averages.pth')
    with pytest.raises(RefusedCheckpointError, match=r'averages\.pth: expected'):
        state.averages()
    (tmp_path / 'state' / 'points_000000.npy').write_bytes(
        pickle.dumps(Code(trace)))
    with pytest.raises(ValueError, match=r'points_000000\.npy is damaged'):
        state.array('points_000000')
    torch.save([1], tmp_path / 'state' / 'averages.pth')
    with pytest.raises(ValueError, match=r'averages\.pth is damaged'):
        state.averages()
    assert not trace.exists()


def test_a_config_in_a_checkpoint_is_not_run_without_our_hooks(tmp_path, trace):
    """A run whose config leaves SelfDescribingHook out resumes without it."""
    def run(**changes):
        config = toy.restorer_config(tmp_path, **changes)
        del config.default_hooks['self_describing']
        return toy.train(config)
    run(train_cfg__max_iters=3)
    content = torch.load(tmp_path / 'iter_3.pth', weights_only=True)
    content['meta']['config'] = f'import os\nos.mkdir({str(trace)!r})\n'
    torch.save(content, tmp_path / 'iter_3.pth')
    assert run(train_cfg__max_iters=4, resume=True).iter == 4
    assert not trace.exists()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', ['coo_bad.pth', 'coo_bad_unused.pth', 'csr4d.pth',
                                  'text.pth'])
@pytest.mark.parametrize('road', ['load_backbone', 'fdsr --weights', 'model.init_from',
                                  'load_from', 'resume'])
def test_malformed_tensors_are_refused(road, name, tmp_path, monkeypatch):
    path = SHARED / 'cases' / name
    if not path.is_file():
        pytest.skip(f'{path} is not on this machine')
    with pytest.raises((RefusedCheckpointError, SystemExit), match=name):
        roads(tmp_path, monkeypatch)[road](path)


@pytest.mark.parametrize('road', MODEL_ROADS)
def test_a_description_with_missing_fields_is_refused(road, tmp_path, monkeypatch):
    for changes in (dict(backbones=None), dict(default=None), dict(external=[1])):
        path = files.write(tmp_path / 'wrong.pth', **changes)
        with pytest.raises((CheckpointMismatch, SystemExit),
                           match=r'wrong\.pth has an invalid description'):
            roads(tmp_path, monkeypatch)[road](path)


def test_values_that_are_not_finite_do_not_enter_a_run(tmp_path, monkeypatch):
    config = toy.restorer_config(tmp_path, train_cfg__max_iters=3)
    toy.train(config)
    content = torch.load(tmp_path / 'iter_3.pth', weights_only=True)
    content['state_dict']['generator.decoder.to_rgb.bias'][0] = float('nan')
    torch.save(content, tmp_path / 'nan.pth')
    for road in ('load_backbone', 'model.init_from', 'load_from', 'resume'):
        with pytest.raises(CheckpointMismatch, match=r'nan\.pth .*to_rgb.bias holds'):
            roads(tmp_path, monkeypatch)[road](tmp_path / 'nan.pth')
