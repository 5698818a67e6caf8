"""What a training installation provides, see test_restoring.py."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(importlib.util.find_spec('mmagic') is None,
                                reason='the extra train is not installed')

CONFIG = '''
from mmengine.config import read_base
_base_ = [{root!r} + '/configs/_base_/runtime.py',
          {root!r} + '/configs/_base_/datasets/synthetic_faces.py']
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.CompactSR', scale=8, channels=8, blocks=1,
                   stage_channels=(8, 8, 8), reduction=4))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(length=4))
val_cfg = val_dataloader = val_evaluator = None
test_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(length=2))
test_evaluator = dict(metrics=[dict(type='mmagic.PSNR'), dict(type='mmagic.SSIM')])
'''


# Trains and tests in one process.
TWO = '''
import runpy, sys
tools, config, folder = sys.argv[1:]
sys.path.insert(0, tools)
for tool, *arguments in [
        ['train.py', '--work-dir', f'{folder}/run'],
        ['test.py', f'{folder}/run/iter_2.pth', '--work-dir', f'{folder}/test', '--out',
         f'{folder}/metrics.json']]:
    sys.argv = [tool, config, *arguments]
    runpy.run_path(f'{tools}/{tool}', run_name='__main__')
'''


def run(*arguments: object) -> str:
    """Runs a tool of the checkout with the installed package."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)], text=True, capture_output=True,
        timeout=600, env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''})
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_training_testing_and_loading(tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(root=str(ROOT)))
    checkpoint = tmp_path / 'run/iter_2.pth'
    output = run('-c', TWO, ROOT / 'tools', config, tmp_path)
    assert '| generator |' in output and 'PSNR' in output

    from fdsr.apis import FaceSuperResolver
    restored = FaceSuperResolver(checkpoint)(np.zeros((8, 8, 3), np.uint8))
    assert restored.shape == (64, 64, 3)


def test_registries_are_children_of_mmagics():
    import mmagic.registry

    from fdsr import registry
    registry.register_all()
    assert registry.MODELS.parent is mmagic.registry.MODELS
    assert registry.METRICS.get('mmagic.PSNR').__module__.startswith('mmagic.')


@pytest.mark.skipif(importlib.util.find_spec('mmcv') is None
                    or importlib.util.find_spec('mmcv._ext') is not None,
                    reason='mmcv has its compiled operators')
def test_a_network_that_needs_an_operator_fails_when_it_is_built():
    from fdsr.registry import MODELS
    config = dict(type='mmagic.StyleGAN2Generator', out_size=64, style_channels=16)
    with pytest.raises(ImportError, match='FusedBiasLeakyReLU is a compiled operator'):
        MODELS.build(config)


def test_all_of_mmagics_networks_can_be_imported():
    code = ('import fdsr.registry, mmagic.models; mmagic.models.RRDBNet; '
            'print("networks:", len(mmagic.registry.MODELS.module_dict))')
    number = run('-c', code).partition('networks: ')[2].split()[0]
    assert int(number) > 200
