"""A figure with the outputs of a study's arms for the same faces."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from fdsr.benchmark.gallery import Gallery, choose_faces
from fdsr.datasets.reading import read_image
from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows
from fdsr.reporting.face_figure import draw_figure, save_figure
from fdsr.reporting.grid import save_grid
from projects.distillation_study.study.jobs import Study
from projects.distillation_study.study.plan import Arm
from projects.distillation_study.study.results import (
    LISTS,
    METRICS,
    is_finished,
    result_path,
)


def draw_arms(study: Study, out: Path, common: dict[str, Any], which: str = 'val',
              names: Sequence[str] | None = None,
              keep: Path | None = None) -> tuple[list[str], list[Path]]:
    """Draws LR, the outputs of every finished arm and teacher, and HR of some faces.

    The figure contains photographs of people, so keep it out of a repository. An arm is
    shown by its first seed with a network or kept images. Arms with neither are left
    out with a warning.

    Args:
        study: a study with networks in its state.
        out: path of the figure without suffix.
        common: ``data_root`` and ``cfg_options`` for the dataset's config.
        which: list of the faces, ``val`` or ``test``.
        names: names of the faces; default: the best, median and worst faces of the
            first arm with a teacher against its control, by LPIPS.
        keep: folder of the runs' outputs, one image per face. They are written for
            networks that exist and replace those that no longer exist.

    Returns:
        The names of the faces, and the files.

    Raises:
        ValueError: the list or a face is unknown, faces cannot be chosen, or there is
            nothing to draw.
    """
    if which not in LISTS:
        raise ValueError(f'The lists are {", ".join(LISTS)}; found {which!r}.')
    finished = _finished(study, which)
    if not finished:
        raise ValueError(f'No arm is finished in {study.plan.results}: run the study '
                         'first.')
    if not names:
        names = _chosen_faces(study, finished, which)
    kept = _Kept(keep, names)
    runs = [run for arm, seeds in finished
            for run in [_available(study, arm, seeds, kept)] if run]
    gallery = _gallery(study, runs, which, common)
    faces = gallery.faces(names, others={
        run.label: kept.read(run) for run in runs if run.row is None})
    for run in runs:
        if run.row and 'checkpoint' in run.row:
            kept.write(run, [face.images[run.label] for face in faces])
    labels = ['LR', *(run.label for run in runs), 'HR']
    return list(names), save_figure(draw_figure(faces, labels), out)


_Finished = list[tuple[Arm, list[int]]]


def _finished(study: Study, which: str) -> _Finished:
    """Returns the arms with finished runs, and the seeds of these runs.

    Arms that are tested on other images than the first arm are omitted.
    """
    arms = [arm for arm in study.plan.arms + study.plan.teachers
            if _tested_on(study, arm, which) == _tested_on(
                study, study.plan.arms[0], which)]
    seeds = [(arm, [seed for seed in arm.seeds
                    if is_finished(study.plan.results, arm.name, seed)])
             for arm in arms]
    return [(arm, found) for arm, found in seeds if found]


def _tested_on(study: Study, arm: Arm, which: str) -> dict[str, Any]:
    """Returns the dataset of a list of faces, with its pipeline."""
    config = Config.fromfile(study.plan.folder / arm.config)
    return config[f'{which}_dataloader'].dataset.to_dict()


@dataclass(frozen=True)
class _Run:
    """A run that can be shown.

    Args:
        name: its name in file names.
        label: label of its column.
        row: its row of a benchmark's config; None if the network no longer exists.
    """

    name: str
    label: str
    row: dict[str, Any] | None


class _Kept:
    """The kept images, outputs of runs for some faces."""

    def __init__(self, folder: Path | None, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def has(self, run: _Run) -> bool:
        return self.folder is not None and all(
            self._path(run, name).is_file() for name in self.names)

    def read(self, run: _Run) -> dict[str, np.ndarray]:
        return {name: read_image(self._path(run, name), name) for name in self.names}

    def write(self, run: _Run, images: Sequence[np.ndarray]) -> None:
        for name, image in zip(self.names, images if self.folder else ()):
            save_grid(self._path(run, name), image)

    def _path(self, run: _Run, name: str) -> Path:
        return self.folder / run.name / f'{name}.png'


def _available(study: Study, arm: Arm, seeds: Sequence[int],
               kept: _Kept) -> _Run | None:
    """Returns the arm's first run that can be shown."""
    label, config = arm.described()['label'], study.plan.folder / arm.config
    if 'optim_wrapper' not in Config.fromfile(config):  # bicubic has no parameters
        return _Run(arm.name, label, dict(name=label, config=str(config)))
    for seed in seeds:
        name, network = f'{arm.name}-s{seed}', study.network(arm, seed)
        if network.is_file():
            return _Run(name, label, dict(name=label, checkpoint=str(network)))
        if kept.has(_Run(name, label, None)):
            return _Run(name, label, None)
    print_log(f'{label} is left out: none of its runs has a network in '
              f'{study.network(arm, seeds[0]).parent} or kept images.', 'current',
              logging.WARNING)
    return None


def _gallery(study: Study, runs: Sequence[_Run], which: str,
             common: dict[str, Any]) -> Gallery:
    config = load_config(study.plan.folder / study.plan.arms[0].config,
                         work_dir=str(study.state / 'figure'), **common)
    config.test_dataloader = config[f'{which}_dataloader']
    config.rows = [run.row for run in runs if run.row]
    if not config.rows:
        raise ValueError(f'No network of a finished arm is in {study.state}: run the '
                         'study there.')
    return Gallery(config)


def _chosen_faces(study: Study, finished: _Finished, which: str) -> list[str]:
    """Chooses faces by the first arm with a teacher, against its control."""
    seeds_of = {arm.name: seeds for arm, seeds in finished}
    for arm, seeds in finished:
        common = [seed for seed in seeds if seed in seeds_of.get(arm.control, ())]
        if arm.teacher and common:
            pair = arm.name, arm.control
            return choose_faces({name: _values(study, name, common[0], which)
                                 for name in pair}, pair)
    raise ValueError('No arm with a teacher is finished together with its control: '
                     'name the faces with --faces.')


def _values(study: Study, arm: str, seed: int,
            which: str) -> dict[str, dict[str, float]]:
    """Returns {metric: {face: value}}."""
    rows = [row for row in read_rows(result_path(study.plan.results, arm, seed))
            if row['list'] == which]
    return {metric: {row['name']: float(row[metric]) for row in rows}
            for metric in METRICS if metric in rows[0]}
