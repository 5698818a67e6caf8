"""The tools that the campaign kills, at toy size, and their inputs."""

import json
import os
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from PIL import Image

from fdsr.datasets import SyntheticFacesDataset
from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import HOOKS, MODELS
from tests import toy
from tests.faults.processes import run_ranks
from tests.interchange.conversion import official

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS, SAVES = 8, 2
POINTS = 'NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y'


@HOOKS.register_module()
class SampleLogHook(Hook):
    """Writes the names of the samples of each iteration to ``samples_rank*.jsonl``."""

    def before_train(self, runner: Any) -> None:
        """Opens the file of this process."""
        path = Path(runner.work_dir) / f'samples_rank{get_rank()}.jsonl'
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Writes a line, in one call, so that a kill does not divide it."""
        names = [sample.name for sample in data_batch['data_samples']]
        line = json.dumps(dict(iter=runner.iter + 1, names=names))
        os.write(self._file, f'{line}\n'.encode())


@MODELS.register_module()
class RandomlyWeightedLoss(FeatureLoss):
    """A feature loss that draws random numbers, like sliced Wasserstein."""

    name = 'randomly_weighted'

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Returns the mean difference, weighted by channel."""
        weights = torch.rand(student.shape[1], 1, 1)
        return ((student - teacher).abs() * weights).mean()


@dataclass(frozen=True)
class Victim:
    """A tool with its arguments.

    Args:
        name: name in the report.
        tool: file in ``tools/``.
        arguments: ``{in}`` is the folder of the inputs, ``{out}`` that of the results.
        ranks: number of processes that train together.
        workers: the tool starts worker processes.
        training: it is a training run.
        share: number of runs, relative to the other tools.
    """

    name: str
    tool: str
    arguments: Sequence[str]
    ranks: int = 1
    workers: bool = False
    training: bool = False
    share: int = 4

    def run(self, inputs: Path, out: Path) -> None:
        """Runs the tool in this process, which ends with it."""
        words = {'{in}': str(inputs), '{out}': str(out)}
        arguments = list(self.arguments)
        for word, path in words.items():
            arguments = [argument.replace(word, path) for argument in arguments]
        sys.argv = [str(ROOT / 'tools' / self.tool), *arguments]
        sys.path.insert(0, str(ROOT / 'tools'))

        def tool() -> None:
            runpy.run_path(sys.argv[0], run_name='__main__')

        if self.ranks > 1:
            sys.argv += ['--launcher', 'pytorch']
            run_ranks(tool, self.ranks)
        tool()


def _training(name: str, config: str, **options: Any) -> Victim:
    return Victim(name, 'train.py', (
        f'{{in}}/{config}.py', '--work-dir', '{out}', '--resume'), training=True,
        **options)


def _prepare(name: str, *arguments: str, **options: Any) -> Victim:
    return Victim(name, 'prepare_faces.py', (
        '--data-root', '{in}/faces', '--landmarks', '{in}/faces.csv', '--size', '32',
        '--shard-size', '4', '--val-identities', '0.25', '--duplicates', '2',
        '--out', '{out}/prepared', *arguments), **options)


_LANDMARKS = ('{in}/photos', '{out}/points.csv', '--detector', '{in}/toy.onnx',
              '--list', '{out}/list.txt')
VICTIMS = (
    _training('train: teacher', 'teacher', share=8),
    _training('train: distillation, 0 workers, 1 rank', 'distill_0', share=8),
    _training('train: distillation, 2 workers, 1 rank', 'distill_2', share=5,
              workers=True),
    _training('train: distillation, 0 workers, 2 ranks', 'distill_0_ddp', share=5,
              ranks=2, workers=True),
    _training('train: distillation, 2 workers, 2 ranks', 'distill_2_ddp', share=3,
              ranks=2, workers=True),
    Victim('build_dictionary', 'build_dictionary.py', (
        '{in}/teacher.py', '--work-dir', '{out}/work', '--out', '{out}/faces.pth',
        '--num-atoms', '4', '--max-faces', '10', '--batch-size', '2'), share=8),
    Victim('extract_landmarks, no worker', 'extract_landmarks.py', _LANDMARKS, share=6),
    Victim('extract_landmarks, 1 worker', 'extract_landmarks.py',
           (*_LANDMARKS, '--num-workers', '1'), workers=True, share=1),
    _prepare('prepare_faces, folders, no worker', '--workers', '0', share=6),
    _prepare('prepare_faces, LMDB, no worker', '--workers', '0', '--storage', 'lmdb',
             '--encoding', 'png', share=6),
    _prepare('prepare_faces, folders, 1 worker', '--workers', '1', workers=True,
             share=1),
    Victim('fdsr', 'infer.py', ('{in}/aligned', '--aligned', '--out', '{out}',
                               '--batch-size', '2'),
           share=6),
    Victim('convert_checkpoint', 'convert_checkpoint.py',
           ('rcan', '{in}/rcan.pt', '{out}/rcan.pth'), share=5),
    Victim('publish_model', 'publish_model.py', (
        '{in}/student/iter_3.pth', '--name', 'toy', '--out', '{out}', '--licence',
        'CC0-1.0'), share=5),
    Victim('export_onnx', 'export_onnx.py',
           ('{in}/student/iter_3.pth', '{out}/toy.onnx'), share=4),
)


def make_inputs(folder: Path, trained: bool = True) -> None:
    """Writes the inputs of all tools.

    Args:
        folder: where.
        trained: also those of tools that need a trained network.
    """
    torch.save(official.rcan_state(2), folder / 'rcan.pt')
    _write_faces(folder)
    _write_photos(folder)
    write_config(folder / 'teacher.py', _teacher())
    if trained:
        _write_trained(folder)


def _write_trained(folder: Path) -> None:
    toy.trained_teacher(folder / 'teacher')
    toy.train(toy.restorer_config(folder / 'student', train_cfg__max_iters=3))
    for ranks, ending in ((1, ''), (2, '_ddp')):
        for workers in (0, 2):
            config = distillation(folder / 'teacher' / 'iter_3.pth', workers, ranks,
                                  **_run_settings())
            config.param_scheduler = dict(student=[_schedule()],
                                          discriminator=[_schedule()])
            write_config(folder / f'distill_{workers}{ending}.py', config)


def _teacher() -> Config:
    config = toy.restorer_config('unused', toy.TEACHER, **_run_settings())
    config.param_scheduler = [_schedule()]
    return config


def _schedule() -> dict[str, Any]:
    return dict(type='MultiStepLR', milestones=[3, 5], by_epoch=False)


def _run_settings() -> dict[str, Any]:
    return dict(train_cfg__max_iters=ITERATIONS,
                default_hooks__checkpoint__interval=SAVES,
                default_hooks__checkpoint__max_keep_ckpts=1)


def distillation(teacher: Path, workers: int, ranks: int, **changes: Any) -> Config:
    """Returns a distillation with an average of the weights and accumulation."""
    config = toy.distiller_config('unused', teacher, **changes)
    for wrapper in (config.optim_wrapper.student, config.optim_wrapper.discriminator):
        wrapper.accumulative_counts = 2
    config.train_dataloader.num_workers = workers
    config.train_dataloader.persistent_workers = workers > 0
    config.custom_hooks = [
        dict(type='fdsr.TrainedEMAHook', name='student', momentum=0.1),
        dict(type='fdsr.SampleLogHook')]
    if ranks > 1:
        schedules = ROOT / 'configs' / '_base_' / 'schedules' / 'distill_300k.py'
        config.model_wrapper_cfg = Config.fromfile(schedules).model_wrapper_cfg
        config.model.discriminator.norm = 'none'
    else:  # the other processes do not resume their random numbers exactly
        config.model.feature_losses = [
            dict(type='fdsr.AdversarialFeatureLoss'),
            dict(type='fdsr.RandomlyWeightedLoss')]
    return config


def write_config(path: Path, config: Config) -> None:
    """Writes a config as a Python file, without a work directory."""
    content = config.to_dict()
    del content['work_dir'], content['experiment_name']
    text = '\n'.join(f'{key} = {value!r}' for key, value in content.items())
    path.write_text(text + '\n')


def _write_faces(folder: Path) -> None:
    faces = SyntheticFacesDataset(16, size=64, faces_per_identity=2)
    rows = [POINTS]
    for index in range(len(faces)):
        face = faces.load(index)
        path = folder / 'faces' / f'{face["name"]}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face['img']).save(path)
        rows.append(f'"{face["name"]}",' + ','.join(
            f'{value:.3f}' for value in face['landmarks'].ravel()))
        if index < 5:
            aligned = folder / 'aligned' / f'{index}.png'
            aligned.parent.mkdir(exist_ok=True)
            Image.fromarray(face['img']).save(aligned)
    (folder / 'faces.csv').write_text('\n'.join(rows) + '\n')


def _write_photos(folder: Path) -> None:
    """Writes images in which the toy detector finds one face, and two without one."""
    from tests.landmarks.toy_yunet import write_toy_yunet
    write_toy_yunet(folder / 'toy.onnx')
    for number in range(10):
        image = np.full((640, 640, 3), 90, np.uint8)
        if number % 4 != 3:
            row, column = 160 + 8 * number, 240 + 16 * number
            image[row:row + 8, column:column + 8] = 255, 0, 0
        path = folder / 'photos' / f'n{number // 3}' / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
