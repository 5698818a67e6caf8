"""Loaders, the best checkpoint, ports and wrapped networks of a run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fdsr.engine.runner import FaceRunner
from fdsr.registry import MODEL_WRAPPERS
from tests import toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('num_workers', [{}, dict(num_workers=0), dict(num_workers=1)])
def test_options_of_workers_are_ignored_without_workers(num_workers):
    config = toy.loaders()['train_dataloader']
    del config['num_workers']
    loader = FaceRunner.build_dataloader(
        dict(config, persistent_workers=True, prefetch_factor=3, **num_workers), seed=0)
    assert loader.persistent_workers == bool(num_workers.get('num_workers'))


def test_the_best_checkpoint_follows_the_trained_network(tmp_path):
    config = toy.restorer_config(
        tmp_path, train_cfg__max_iters=4, train_cfg__val_interval=2,
        model__test_cfg=dict(report=['bicubic', 'student']),
        val_evaluator=dict(metrics=[dict(type='mmagic.MAE')]),
        default_hooks__checkpoint__save_best='auto')
    info = toy.train(config).message_hub.runtime_info
    name = info['best_ckpt']
    assert name.startswith('best_student_MAE_iter_') and (tmp_path / name).is_file()
    assert [path.name for path in tmp_path.glob('best_*')] == [name]
    scores = [line for log in tmp_path.glob('*/vis_data/scalars.json')
              for line in log.read_text().splitlines() if 'student/MAE' in line]
    assert min(float(line.split('"student/MAE": ')[1].split(',')[0].rstrip('}'))
               for line in scores) == pytest.approx(info['best_score'])
    for key in ('bicubic/MAE', 'PSNR'):
        config.default_hooks.checkpoint.save_best = key
        with pytest.raises(ValueError, match=f"'{key}' is not .*'student/MAE'"):
            toy.train(config)


def test_a_busy_port_is_replaced(tmp_path):
    fake = tmp_path / 'python'
    fake.write_text(f'#!/bin/sh\n[ "$1" = -m ] && {{ echo "$@"; exit; }}\n'
                    f'exec {sys.executable} "$@"\n')
    fake.chmod(0o755)

    def port(**variables):
        done = subprocess.run(
            [str(ROOT / 'tools/dist_train.sh'), 'c.py', '2'], text=True, check=True,
            capture_output=True, env={
                **os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **variables})
        return int(done.stdout.split('--master_port=')[1].split()[0]), done.stderr

    with socket.socket() as busy:
        busy.bind(('', 0))
        busy.listen()
        taken = busy.getsockname()[1]
        found, printed = port(MASTER_PORT=str(taken))
        assert found != taken and str(taken) in printed
    assert port(MASTER_PORT=str(taken))[0] == taken
    assert port(NNODES='2', MASTER_PORT='29511')[0] == 29511


@MODEL_WRAPPERS.register_module(force=True)
class Wrapper(nn.Module):
    """Wraps a child as the distributed wrapper of several networks does."""

    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.mark.slow
def test_the_weights_of_wrapped_children_are_loaded(tmp_path):
    """With several ranks, student and discriminator are wrapped, each on its own."""
    teacher = toy.trained_teacher(tmp_path)
    runner = toy.train(toy.distiller_config(tmp_path / 'run', teacher))
    saved = sorted((tmp_path / 'run').glob('iter_*.pth'))[-1]
    expected = {key: value.clone()
                for key, value in runner.model.student.state_dict().items()}
    with torch.no_grad():
        for parameter in runner.model.student.decoder.parameters():
            parameter.zero_()
    runner.model.student = Wrapper(runner.model.student)
    runner.load_checkpoint(str(saved))
    found = runner.model.student.module.state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
