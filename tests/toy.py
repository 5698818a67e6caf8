"""Whole runs at toy size: configs, and a teacher to distil from."""

import itertools
import shutil
import tempfile
from functools import cache
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from fdsr.engine.launch import build_runner

_RUNS = itertools.count()
SIZE, SCALE = 32, 4
NETWORK = dict(scale=SCALE, layout='B', width=0.2,
               encoder=dict(type='fdsr.TinyEncoder', frozen=True))
TEACHER = dict(type='fdsr.DictionaryTeacher', size=SIZE, dictionary=dict(num_atoms=4),
               **NETWORK)
STUDENT = dict(type='fdsr.DistilledStudent', **NETWORK)


def loaders(batch_size=2, length=12) -> dict:
    """Training, validation and test loaders of small drawn faces."""
    pipeline = [
        dict(type='fdsr.FlipFace', prob=0.5),
        dict(type='fdsr.ComponentBoxes'),
        dict(type='fdsr.DownsampleToLR', scale=SCALE),
        dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes']),
    ]

    def loader(pipeline, sampler, **dataset):
        return dict(
            batch_size=batch_size, num_workers=0, sampler=sampler,
            collate_fn=dict(type='fdsr.collate_samples'),
            dataset=dict(type='fdsr.SyntheticFacesDataset', size=SIZE,
                         pipeline=pipeline, **dataset))

    test = loader(pipeline[1:], dict(type='DefaultSampler', shuffle=False), length=3,
                  first=1000, test_mode=True)
    return dict(
        train_dataloader=loader(pipeline, dict(type='fdsr.EpochSampler'),
                                length=length),
        val_dataloader=test, test_dataloader=test)


def runtime(work_dir, max_iters=2, **changes) -> dict:
    """Everything of a run but model, data and optimiser."""
    evaluator = dict(type='fdsr.FaceEvaluator', metrics=[dict(type='mmagic.PSNR')])
    return dict(
        default_scope='fdsr', work_dir=str(work_dir),
        experiment_name=f'toy_{next(_RUNS)}',
        train_cfg=dict(type='fdsr.ExactTrainLoop', max_iters=max_iters,
                       val_interval=1000000),
        val_cfg=dict(type='fdsr.FaceValLoop'), test_cfg=dict(type='fdsr.FaceTestLoop'),
        val_evaluator=evaluator, test_evaluator=evaluator,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3),
            self_describing=dict(type='fdsr.SelfDescribingHook'),
            exact_resume=dict(type='fdsr.ExactResumeHook')),
        log_processor=dict(type='LogProcessor', by_epoch=False),
        randomness=dict(seed=1), log_level='WARNING', **changes)


def adam(lr=1e-3) -> dict:
    """One optimiser."""
    return dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr))


def restorer_config(work_dir, generator=STUDENT, batch_size=2, **changes) -> Config:
    """A run that trains one backbone on pixels."""
    settings = dict(
        model=dict(type='fdsr.FaceRestorer', generator=generator),
        optim_wrapper=adam(), **loaders(batch_size), **runtime(work_dir))
    return merged(settings, changes)


def distiller_config(work_dir, teacher, batch_size=2, **changes) -> Config:
    """A run that distils a toy teacher."""
    settings = dict(
        model=dict(
            type='fdsr.FeatureDistiller', student=STUDENT,
            teacher=teacher if isinstance(teacher, dict) else str(teacher),
            discriminator=dict(type='fdsr.FeatureDiscriminator', base_channels=8,
                               depth=2)),
        optim_wrapper=dict(
            constructor='fdsr.GroupOptimWrapperConstructor', student=adam(),
            discriminator=adam(5e-4)),
        **loaders(batch_size), **runtime(work_dir))
    return merged(settings, changes)


def merged(settings: dict, changes: dict) -> Config:
    """A config with some values changed, by dotted key."""
    config = Config(settings)
    config.merge_from_dict({key.replace('__', '.'): value
                            for key, value in changes.items()})
    return config


def train(config: Config) -> Runner:
    """Runs a config in this process."""
    runner = build_runner(Config(ConfigDict(config.to_dict())))
    runner.train()
    return runner


def trained_teacher(folder: Path) -> Path:
    """A toy teacher's checkpoint, after three iterations."""
    return _copy(_run('teacher'), folder)


def trained_student(folder: Path) -> Path:
    """A toy student's checkpoint, after three iterations."""
    return _copy(_run('student'), folder)


def _copy(run: tempfile.TemporaryDirectory, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(Path(run.name) / 'iter_3.pth', folder / 'iter_3.pth'))


@cache
def _run(kind: str) -> tempfile.TemporaryDirectory:
    """Trains a network once; the folder is deleted when Python exits."""
    folder = tempfile.TemporaryDirectory()
    network = dict(teacher=TEACHER, student=STUDENT)[kind]
    train(restorer_config(folder.name, network, train_cfg__max_iters=3))
    return folder
