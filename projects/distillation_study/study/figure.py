"""What the arms of a study make of the same faces, side by side."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from fdsr.benchmark.gallery import Gallery, choose_faces
from fdsr.datasets.reading import read_image
from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows
from fdsr.reporting.figure import draw_figure, save_figure
from fdsr.reporting.grid import save_grid
from projects.distillation_study.study.jobs import Study
from projects.distillation_study.study.plan import Arm
from projects.distillation_study.study.results import (
    LISTS,
    METRICS,
    is_finished,
    result_path,
)


def draw_arms(study: Study, out: Path, common: Dict[str, Any], which: str = 'val',
              names: Optional[Sequence[str]] = None,
              keep: Optional[Path] = None) -> Tuple[List[str], List[Path]]:
    """Draws LR, a run of every finished arm, the teachers and HR of some faces.

    Photographs of people end up in it: keep it out of a repository. An arm is shown by
    its first seed whose network, or whose kept pictures, are there; without any it is
    left out, and told.

    Args:
        study: whose networks are in its state.
        out: of the pictures, without suffix.
        common: ``data_root`` and ``cfg_options`` for the data set's config.
        which: list of the faces, ``val`` or ``test``.
        names: of the faces; default: those on which the first arm that learns from a
            teacher is best, in between and worst beside its control, by LPIPS.
        keep: folder of what the runs made of these faces, one picture each: written
            where a network is there, read where it is gone.

    Returns:
        The names of the faces, and the files.

    Raises:
        ValueError: an unknown list or face, nothing to choose faces by, or nothing to
            draw.
    """
    if which not in LISTS:
        raise ValueError(f'The lists are {", ".join(LISTS)}; found {which!r}.')
    finished = _finished(study)
    if not finished:
        raise ValueError(f'No arm is finished in {study.plan.results}: run the study '
                         'first.')
    if not names:
        names = _chosen_faces(study, finished, which)
    kept = _Kept(keep, names)
    runs = [run for arm, seeds in finished
            for run in [_at_hand(study, arm, seeds, kept)] if run]
    gallery = _gallery(study, runs, which, common)
    faces = gallery.faces(names, others={
        run.label: kept.read(run) for run in runs if run.row is None})
    for run in runs:
        if run.row and 'checkpoint' in run.row:
            kept.write(run, [face.pictures[run.label] for face in faces])
    labels = ['LR', *(run.label for run in runs), 'HR']
    return list(names), save_figure(draw_figure(faces, labels), out)


_Finished = List[Tuple[Arm, List[int]]]


def _finished(study: Study) -> _Finished:
    """The arms of which there are finished runs, and the seeds of these."""
    seeds = [(arm, [seed for seed in arm.seeds
                    if is_finished(study.plan.results, arm.name, seed)])
             for arm in study.plan.arms + study.plan.teachers]
    return [(arm, found) for arm, found in seeds if found]


@dataclass(frozen=True)
class _Run:
    """A run that can be shown.

    Args:
        name: in file names.
        label: above its column.
        row: its network, as a benchmark's config names it; None if that is gone.
    """

    name: str
    label: str
    row: Optional[Dict[str, Any]]


class _Kept:
    """The pictures that runs made of some faces, in files."""

    def __init__(self, folder: Optional[Path], names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def has(self, run: _Run) -> bool:
        return self.folder is not None and all(
            self._path(run, name).is_file() for name in self.names)

    def read(self, run: _Run) -> Dict[str, np.ndarray]:
        return {name: read_image(self._path(run, name), name) for name in self.names}

    def write(self, run: _Run, pictures: Sequence[np.ndarray]) -> None:
        for name, picture in zip(self.names, pictures if self.folder else ()):
            save_grid(self._path(run, name), picture)

    def _path(self, run: _Run, name: str) -> Path:
        return self.folder / run.name / f'{name}.png'


def _at_hand(study: Study, arm: Arm, seeds: Sequence[int],
             kept: _Kept) -> Optional[_Run]:
    """The arm's first run that can be shown."""
    label, config = arm.described()['label'], study.plan.folder / arm.config
    if 'optim_wrapper' not in Config.fromfile(config):  # bicubic has no weights
        return _Run(arm.name, label, dict(name=label, config=str(config)))
    for seed in seeds:
        name, network = f'{arm.name}-s{seed}', study.network(arm, seed)
        if network.is_file():
            return _Run(name, label, dict(name=label, checkpoint=str(network)))
        if kept.has(_Run(name, label, None)):
            return _Run(name, label, None)
    print_log(f'{label} is left out: there is neither a network of its runs in '
              f'{study.network(arm, seeds[0]).parent} nor a kept picture.', 'current',
              logging.WARNING)
    return None


def _gallery(study: Study, runs: Sequence[_Run], which: str,
             common: Dict[str, Any]) -> Gallery:
    config = load_config(study.plan.folder / study.plan.arms[0].config,
                         work_dir=str(study.state / 'figure'), **common)
    config.test_dataloader = config[f'{which}_dataloader']
    config.rows = [run.row for run in runs if run.row]
    if not config.rows:
        raise ValueError(f'No network of a finished arm is in {study.state}: run the '
                         'study there.')
    return Gallery(config)


def _chosen_faces(study: Study, finished: _Finished, which: str) -> List[str]:
    """By the first arm that learns from a teacher, beside its control."""
    seeds_of = {arm.name: seeds for arm, seeds in finished}
    for arm, seeds in finished:
        common = [seed for seed in seeds if seed in seeds_of.get(arm.control, ())]
        if arm.teacher and common:
            pair = arm.name, arm.control
            return choose_faces({name: _values(study, name, common[0], which)
                                 for name in pair}, pair)
    raise ValueError('No arm that learns from a teacher is finished beside its '
                     'control: name the faces with --faces.')


def _values(study: Study, arm: str, seed: int,
            which: str) -> Dict[str, Dict[str, float]]:
    """{metric: {face: value}}."""
    rows = [row for row in read_rows(result_path(study.plan.results, arm, seed))
            if row['list'] == which]
    return {metric: {row['name']: float(row[metric]) for row in rows}
            for metric in METRICS}
