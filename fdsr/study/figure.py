"""What the arms of a study make of the same faces, side by side."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

from fdsr.benchmark.gallery import Gallery, Values, choose_faces
from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows
from fdsr.study.jobs import Study
from fdsr.study.plan import Arm
from fdsr.study.results import LISTS, METRICS, is_finished, result_path
from fdsr.visualization.figure import draw_figure, save_figure


def draw_arms(study: Study, out: Path, common: Dict[str, Any], which: str = 'val',
              names: Optional[Sequence[str]] = None) -> Tuple[List[str], List[Path]]:
    """Draws LR, every finished arm's first seed, the teacher and HR of some faces.

    Photographs of people end up in it: keep it out of a repository.

    Args:
        study: whose networks are in its state; one that is not is left out, and told.
        out: of the pictures, without suffix.
        common: ``data_root`` and ``cfg_options`` for the data set's config.
        which: list of the faces, ``val`` or ``test``.
        names: of the faces; default: those on which the first arm that learns from a
            teacher is best, in between and worst beside its control, by LPIPS.

    Returns:
        The names of the faces, and the files.

    Raises:
        ValueError: an unknown list or face, nothing to choose faces by, or no finished
            arm.
    """
    if which not in LISTS:
        raise ValueError(f'The lists are {", ".join(LISTS)}; found {which!r}.')
    arms = [arm for arm in study.plan.arms + study.plan.teachers
            if is_finished(study.plan.results, arm.name, arm.seeds[0])]
    if not arms:
        raise ValueError(f'No arm is finished in {study.plan.results}: run the study '
                         'first.')
    if not names:
        names = choose_faces(_values(study, arms, which), _first_pair(arms))
    config = load_config(study.plan.folder / arms[0].config,
                         work_dir=str(study.state / 'figure'), **common)
    config.test_dataloader = config[f'{which}_dataloader']
    config.rows = [_row(study, arm) for arm in arms]
    gallery = Gallery(config)
    figure = draw_figure(gallery.faces(names), gallery.labels)
    return list(names), save_figure(figure, out)


def _row(study: Study, arm: Arm) -> Dict[str, Any]:
    name, config = arm.described()['label'], study.plan.folder / arm.config
    if 'optim_wrapper' not in Config.fromfile(config):  # bicubic has no weights
        return dict(name=name, config=str(config))
    return dict(name=name, checkpoint=str(study.network(arm, arm.seeds[0])))


def _first_pair(arms: Sequence[Arm]) -> Tuple[str, str]:
    for arm in arms:
        if arm.teacher and arm.control in [other.name for other in arms]:
            return arm.name, arm.control
    raise ValueError('No arm that learns from a teacher is finished beside its '
                     'control: name the faces with --faces.')


def _values(study: Study, arms: Sequence[Arm], which: str) -> Values:
    """{arm: {metric: {face: value}}}."""
    values: Values = {}
    for arm in arms:
        path = result_path(study.plan.results, arm.name, arm.seeds[0])
        rows = [row for row in read_rows(path) if row['list'] == which]
        values[arm.name] = {metric: {row['name']: float(row[metric]) for row in rows}
                            for metric in METRICS}
    return values
