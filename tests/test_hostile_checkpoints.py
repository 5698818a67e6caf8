"""Files whose loading would run code are refused, by every road into the project."""

import contextlib
import os
import pickle
import runpy
import sys
from pathlib import Path

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.models.restorers.teacher import build_teacher
from fdsr.weights import RefusedCheckpointError
from tests import toy

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace), )


@pytest.fixture
def trace(tmp_path):
    return tmp_path / 'the_code_was_run'


@pytest.fixture(params=['zip', 'legacy', 'pickle'])
def hostile(tmp_path, trace, request):
    """A checkpoint with code in it, in each container that torch.load reads."""
    path = tmp_path / 'hostile.pth'
    content = {'meta': {'fdsr': Hostile(trace), 'iter': 1, 'epoch': 0},
               'state_dict': {'w': torch.zeros(1)}, 'optimizer': {}}
    if request.param == 'pickle':
        path.write_bytes(pickle.dumps({'meta': Hostile(trace)}, protocol=2))
    else:
        torch.save(content, path,
                   _use_new_zipfile_serialization=request.param == 'zip')
    return path


def run_tool(monkeypatch, name, *arguments):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    runpy.run_path(str(TOOLS / name), run_name='__main__')


def roads(tmp_path, monkeypatch):
    """By name, what a person would do with a checkpoint."""
    config = toy.restorer_config(tmp_path / 'run')
    file = tmp_path / 'toy_config.py'
    config.dump(file)
    return {
        'load_backbone': load_backbone,
        'teacher': lambda path: build_teacher(str(path)),
        'model.teacher': lambda path: toy.train(toy.distiller_config(tmp_path, path)),
        'model.init_from': lambda path: toy.train(
            toy.restorer_config(tmp_path, model__init_from=str(path))),
        'load_from': lambda path: toy.train(
            toy.restorer_config(tmp_path, load_from=str(path))),
        'resume': lambda path: toy.train(
            toy.restorer_config(tmp_path, load_from=str(path), resume=True)),
        'dictionary': lambda path: toy.train(toy.restorer_config(
            tmp_path, {**toy.TEACHER, 'dictionary': dict(file=str(path))})),
        'tools/train.py --resume': lambda path: run_tool(
            monkeypatch, 'train.py', file, '--resume', path),
        'tools/test.py': lambda path: run_tool(monkeypatch, 'test.py', file, path),
    }


@pytest.mark.parametrize('road', [
    'load_backbone', 'teacher', 'model.teacher', 'model.init_from', 'load_from',
    'resume', 'dictionary', 'tools/train.py --resume', 'tools/test.py'])
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
