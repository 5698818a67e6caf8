"""Runs of one process, and of two with half the batch each; torchrun starts this.

    torchrun --nproc_per_node=2 -m tests.engine.distributed_runs OUT

The first process does the runs alone, then both do them together. For each run stand
in OUT: ``NAME/alone``, ``NAME/half`` (one process with the small batch) and
``NAME/together``, the work directories; and ``NAME_RANK.pth``, the weights before and
after each.
"""

import os
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fdsr.engine.launch import build_runner
from fdsr.evaluation.testing import run_test
from fdsr.registry import register_all
from fdsr.utils.modules import unwrap
from tests import toy
from tests.repeated_work import avoid_repeated_work

SCHEDULES = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'schedules'
WRAPPER = Config.fromfile(SCHEDULES / 'distill_300k.py').model_wrapper_cfg.to_dict()
TWO_STEPS = dict(train_cfg__max_iters=2, default_hooks__checkpoint__interval=2)


def sgd(lr):
    """SGD, in which a wrong factor of the gradients shows; Adam would hide it."""
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr))


def teacher_run(folder, out, batch_size):
    config = toy.restorer_config(folder, toy.TEACHER, batch_size, **TWO_STEPS)
    config.optim_wrapper = sgd(1e-3)
    return config


def distillation(folder, out, batch_size, **changes):
    teacher = out / 'teacher' / 'alone' / 'iter_2.pth'
    config = toy.distiller_config(
        folder, teacher, batch_size, model__discriminator__norm='none',
        model_wrapper_cfg=WRAPPER, **TWO_STEPS, **changes)
    config.optim_wrapper.update(student=sgd(1e-3), discriminator=sgd(0.1))
    return config


def connected(folder, out, batch_size):
    # heavy, so that the connectors' gradients show beside float error
    connector = dict(connector=True, loss_weight=100.0)
    return distillation(folder, out, batch_size, model__feature_losses=[
        dict(type='fdsr.AdversarialFeatureLoss', **connector),
        dict(type='fdsr.FeatureL1Loss', teacher='decoder.stages.1:output', **connector)
    ])


RUNS = dict(teacher=teacher_run, distillation=distillation, connected=connected)


def bare_state(model):
    """The weights under the names that they have without any wrapper."""
    return {key.replace('.module.', '.', 1): value.clone()
            for key, value in unwrap(model).state_dict().items()}


def train(config, launcher):
    """Weights before and after a run."""
    runner = build_runner(Config(config.to_dict()), launcher)
    before = bare_state(runner.model)
    runner.train()
    return dict(before=before, after=bare_state(runner.model))


def main(out):
    rank = int(os.environ['RANK'])
    register_all()
    results = {name: {} for name in RUNS}
    if rank == 0:
        for name, run in RUNS.items():
            results[name]['alone'] = train(run(out / name / 'alone', out, 4), 'none')
            results[name]['half'] = train(run(out / name / 'half', out, 2), 'none')
    torch.distributed.init_process_group('gloo')
    for name, run in RUNS.items():
        together = train(run(out / name / 'together', out, 2), 'pytorch')
        torch.save({**results[name], 'together': together}, out / f'{name}_{rank}.pth')
    test = connected(out / 'test', out, 2)
    test.model.test_cfg = dict(report=['bicubic', 'student', 'teacher'])
    run_test(test, str(out / 'connected' / 'together' / 'iter_2.pth'),
             launcher='pytorch')
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    with pytest.MonkeyPatch.context() as patch:
        avoid_repeated_work(patch)
        main(Path(sys.argv[1]))
