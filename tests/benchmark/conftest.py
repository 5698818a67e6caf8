"""A toy benchmark with bicubic, a student and a teacher."""

import pytest
from mmengine.config import Config

from fdsr.registry import LANDMARKS
from tests import toy

NOTHING_FOUND = 'NothingFound'


class NothingFound:
    """A detector that finds no faces."""

    def detect(self, images):
        return [None] * len(images)


@pytest.fixture(autouse=True)
def nothing_found():
    LANDMARKS.register_module(name=NOTHING_FOUND, module=NothingFound, force=True)


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toys')
    toy.train(toy.restorer_config(folder / 'student', train_cfg__max_iters=3))
    return dict(student=folder / 'student/iter_3.pth',
                teacher=toy.trained_teacher(folder / 'teacher'))


@pytest.fixture
def config_path(tmp_path, checkpoints):
    """A benchmark's config and a bicubic config in the same folder."""
    generator = dict(type='fdsr.Bicubic', scale=toy.SCALE)
    bicubic = Config(dict(model=dict(type='fdsr.FaceRestorer', generator=generator)))
    bicubic.dump(tmp_path / 'bicubic.py')
    run = toy.runtime('unused')
    config = Config(dict(
        rows=[
            dict(name='Bicubic', config='bicubic.py'),
            dict(name='Teacher', checkpoint=str(checkpoints['teacher']),
                 paper=dict(PSNR=26.74, SSIM=0.771, LPIPS=0.2413)),
            dict(name='Teacher, found', checkpoint=str(checkpoints['teacher']),
                 landmarks=dict(type=f'fdsr.{NOTHING_FOUND}')),
            dict(name='Student', checkpoint=str(checkpoints['student'])),
            dict(name='Never trained', config='bicubic.py', checkpoint='nowhere.pth'),
        ],
        reference='Student', title='Toys',
        profile=dict(batch_sizes=[1, 2], warmup=0, repeats=1),
        test_dataloader=toy.loaders()['test_dataloader'], test_cfg=run['test_cfg'],
        test_evaluator=dict(type='fdsr.FaceEvaluator', metrics=[
            dict(type='mmagic.PSNR'), dict(type='mmagic.SSIM'),
            dict(type='mmagic.PSNR', convert_to='Y', crop_border=4)]),
        default_scope='fdsr', log_level='WARNING', randomness=dict(seed=0)))
    config.dump(tmp_path / 'toys.py')
    return tmp_path / 'toys.py'
