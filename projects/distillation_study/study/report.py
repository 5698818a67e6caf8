"""The report on a study's results, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from fdsr.benchmark.methods import methods_of
from fdsr.evaluation import metric_info
from fdsr.reporting.bootstrap import CONFIDENCE, RESAMPLES, Estimate
from fdsr.reporting.tables import markdown_table
from projects.distillation_study.study.results import Results
from projects.distillation_study.study.statistics import (
    Difference,
    arm_mean,
    difference,
    gap_recovery,
)

#: The benchmark's config that stores the paper's Table 1.
PAPER_TABLE = Path(__file__).parents[3] / 'configs' / 'benchmark' / 'table1.py'
ACCURACY = 'd_accuracy_'
_BICUBIC = 'bicubic'
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the iterations in D's table
_WINDOW = 0.05  # of the iterations; each logged value is of one batch
_LISTS = dict(test='Test', val='Validation')
Arm = Mapping[str, Any]
Plan = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]


def arms_of(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Returns the arms of a plan by group, each with all keys.

    The key ``paired`` is added. Paired runs are compared with the control's run of the
    same seed; a teacher has one run, which is compared with all of them.

    Args:
        plan: has ``arms``, dicts with ``name`` and optionally ``label``, ``group``,
            ``control``, ``beside``, ``teacher`` and the planned ``seeds``.
        results: the results; if they include bicubic and the plan does not, it is
            added first.

    Raises:
        ValueError: a control, a teacher or an arm of ``beside`` is not in the plan.
    """
    listed = [*plan['arms']]
    if _BICUBIC in results.arms and _BICUBIC not in [arm['name'] for arm in listed]:
        listed.insert(0, dict(name=_BICUBIC, group='reference'))
    teachers = {arm.get('teacher') for arm in listed}
    arms = [
        dict(name=arm['name'], label=arm.get('label') or arm['name'],
             group=arm.get('group') or '', control=arm.get('control'),
             beside=arm.get('beside') or [], teacher=arm.get('teacher'),
             seeds=arm.get('seeds'),
             paired=arm['name'] not in teachers)
        for arm in listed]
    names = [arm['name'] for arm in arms]
    for arm in arms:
        named = [('control', arm['control']), ('teacher', arm['teacher'])]
        for what, other in named + [('beside', name) for name in arm['beside']]:
            if other and other not in names:
                raise ValueError(f'The {what} of {arm["name"]} is {other!r}; the '
                                 f'arms of the plan are {", ".join(names)}.')
    groups = [*dict.fromkeys(arm['group'] for arm in arms)]
    return sorted(arms, key=lambda arm: groups.index(arm['group']))


def compared(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Returns the comparisons, each as an arm with its control.

    Returns:
        First each teacher with the control of a student, as group 'the gap', unless it
        is one of the arms; then the arms with a run that has a control; then each arm
        with those that it names as ``beside`` as its control, as group 'arm beside
        arm'.
    """
    listed = arms_of(plan, results)
    arms = [arm for arm in listed if arm['control'] and arm['control'] != arm['name']
            and _runs_compared(results, arm)]
    others = [{**arm, 'control': other, 'teacher': None, 'group': 'arm beside arm'}
              for arm in listed for other in arm['beside']]
    by_name = {arm['name']: arm for arm in listed}
    pairs = dict.fromkeys((arm['teacher'], arm['control']) for arm in arms
                          if arm['teacher'] and results.seeds(arm['teacher']))
    known = {(arm['name'], arm['control']) for arm in arms}
    gaps = [{**by_name[teacher], 'control': control, 'teacher': None,
             'group': 'the gap'} for teacher, control in pairs
            if (teacher, control) not in known and teacher != control]
    return gaps + arms + [arm for arm in others if _runs_compared(results, arm)]


def _runs_compared(results: Results, arm: Arm) -> int:
    """Returns the number of an arm's runs that can be compared with its control."""
    runs, controls = (set(results.seeds(arm[what])) for what in ('name', 'control'))
    if arm['paired']:
        return len(runs & controls)
    return len(runs) if controls else 0


def compare(results: Results, arm: Arm, which: str, metric: str) -> Difference:
    """Returns the difference of an arm to its control on a list."""
    return difference(results.samples(arm['name'], which, metric),
                      results.samples(arm['control'], which, metric),
                      paired=arm['paired'])


# Tables

def arms_table(plan: Plan, results: Results, which: str) -> Table:
    """Returns the table of means, with the seeds of unfinished arms.

    Args:
        plan: as for ``arms_of``.
        results: results of its runs.
        which: ``val`` or ``test``.
    """
    lines = []
    for arm in arms_of(plan, results):
        seeds = results.seeds(arm['name'])
        missing = sorted(set(arm['seeds'] or ()) - set(seeds))
        found = ', '.join(map(str, seeds))
        if missing or not seeds:
            unfinished = ', '.join(map(str, missing)) or 'all'
            found = f'{found} *(unfinished: {unfinished})*'.strip()
        lines.append([arm['label'], arm['group'], found, *(
            metric_info(metric).interval(
                arm_mean(results.samples(arm['name'], which, metric)))
            if seeds else '–' for metric in results.metrics)])
    return ['Arm', 'group', 'seeds', *_headings(results)], lines


def differences_table(plan: Plan, results: Results, which: str) -> Table:
    """Returns the table of differences to the controls, also for each seed."""
    labels = {arm['name']: arm['label'] for arm in arms_of(plan, results)}
    lines = []
    for arm in compared(plan, results):
        lines.append([_marked(results, arm), labels[arm['control']], *(
            _difference_cell(metric, compare(results, arm, which, metric))
            for metric in results.metrics)])
    return ['Arm', 'control', *(f'Δ {name}' for name in _headings(results))], lines


def _headings(results: Results) -> list[str]:
    return [metric_info(metric).heading(metric) for metric in results.metrics]


def _marked(results: Results, arm: Arm) -> str:
    """Returns an arm's label, with a † if a single run is compared."""
    return arm['label'] + ('' if _runs_compared(results, arm) > 1 else ' †')


def _difference_cell(metric: str, found: Difference) -> str:
    info = metric_info(metric)
    text = info.interval(found.estimate, sign='+')
    if len(found.seeds) < 2:
        return text
    text = f'**{text}**' if found.excludes_zero else text
    by_seed = ', '.join(info.format(value, '+') for value in found.per_seed)
    return f'{text}<br>{by_seed} ({found.agreeing}/{len(found.seeds)})'


def recovery_table(plan: Plan, results: Results, which: str) -> Table:
    """Returns the table of the shares of the gap that students close."""
    lines = []
    for arm in compared(plan, results):
        if arm['teacher'] and results.seeds(arm['teacher']):
            lines.append([_marked(results, arm), *(
                _recovery_cell(results, arm, which, metric)
                for metric in results.metrics)])
    paper = paper_recovery()
    lines.append(['*the paper*', *(
        _percent(paper[metric]) if metric in paper else '–'
        for metric in results.metrics)])
    return ['Student', *results.metrics], lines


def _recovery_cell(results: Results, arm: Arm, which: str, metric: str) -> str:
    teacher = dict(name=arm['teacher'], control=arm['control'], paired=False)
    gap = compare(results, teacher, which, metric).estimate.mean
    found = gap_recovery(*(results.samples(arm[key], which, metric)
                           for key in ('name', 'control', 'teacher')))
    if found is None:
        return 'gap not shown'
    if (gap > 0) != metric_info(metric).higher_is_better:
        return 'teacher worse'
    return _share(found)


def _share(found: Estimate) -> str:
    low, high = (f'{100 * end:.0f}'.replace('inf', '∞')
                 for end in (found.low, found.high))
    return f'{_percent(found.mean)} [{low}, {high}]'


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'


def paper_recovery() -> dict[str, float]:
    """Returns the shares that follow from the paper's Table 1."""
    paper = {method.name: method.paper
             for method in methods_of(Config.fromfile(PAPER_TABLE))}
    student, control, teacher = (paper[name] for name in (
        "Student, the paper's recipe", 'S w/o KD', 'Teacher'))
    return {metric: (student[metric] - control[metric])
            / (teacher[metric] - control[metric]) for metric in teacher}


def accuracies(results: Results, name: str
               ) -> Iterator[tuple[str, dict[int, tuple[np.ndarray, np.ndarray]]]]:
    """Yields the name and {seed: logged accuracy} of an arm's discriminators."""
    curves = results.curves(name)
    columns = dict.fromkeys(column for curve in curves.values() for column in curve
                            if column.startswith(ACCURACY))
    for column in columns:
        yield column[len(ACCURACY):], {
            seed: curve[column] for seed, curve in curves.items() if column in curve}


def accuracy_table(plan: Plan, results: Results) -> Table:
    """Returns the table of D's accuracy, the mean over seeds and their range."""
    arms = arms_of(plan, results)
    series = [(arm['label'], found) for arm in arms
              for found in accuracies(results, arm['name'])]
    last = max((iterations[-1] for _, (_, seeds) in series
                for iterations, _ in seeds.values()), default=0)
    places = [round(share * last) for share in _SHARES]
    lines = []
    for label, (name, seeds) in series:
        several = sum(other == label for other, _ in series) > 1
        lines.append([f'{label} ({name})' if several else label, *(
            _accuracy_cell(seeds, place, _WINDOW * last) for place in places)])
    return ['D of', *(f'{place}' for place in places)], lines


def _accuracy_cell(seeds: Mapping[int, tuple[np.ndarray, np.ndarray]], place: int,
                   window: float) -> str:
    means = []
    for iterations, values in seeds.values():
        inside = (iterations > place - window) & (iterations <= place)
        if inside.any():
            means.append(values[inside].mean())
    if not means:
        return '–'
    text = f'{np.mean(means):.2f}'
    return text if len(means) < 2 else f'{text} [{min(means):.2f}, {max(means):.2f}]'


# The document

def report(plan: Plan, results: Results,
           lists: Sequence[str] = ('val',)) -> str:
    """Returns all tables in Markdown.

    Args:
        plan: as for ``arms_of``.
        results: results of its runs.
        lists: the lists to report, in order.
    """
    parts: list[str] = []
    for which in lists:
        title = _LISTS[which]
        parts += _section(f'{title}: all arms', arms_table(plan, results, which),
                          f'{len(results.images(which))} images. {_intervals()}')
        parts += _section(f'{title}: differences to the control',
                          differences_table(plan, results, which), _DIFFERENCES)
        parts += _section(f'{title}: share of the gap that is closed',
                          recovery_table(plan, results, which), _RECOVERY)
    parts += _section('Accuracy of the discriminator', accuracy_table(plan, results),
                      _ACCURACY)
    known = [arm['name'] for arm in arms_of(plan, results)]
    others = [name for name in results.arms if name not in known]
    if others:
        parts += [f'Results that are not in the plan: {", ".join(others)}.', '']
    return '\n'.join(parts).strip()


def _section(title: str, table: Table, note: str) -> list[str]:
    text = (markdown_table(*table) if table[1] else
            '*No comparison is possible yet.*')
    return [f'### {title}', '', text, '', note, '']


def _intervals() -> str:
    return (
        f'Intervals: about {CONFIDENCE:.0%}, bootstrap over seeds and images, which '
        f'are resampled independently ({RESAMPLES} resamples); the contribution of the '
        "seeds is widened to that of Student's t. With one seed, intervals are over "
        'images only.')


_DIFFERENCES = (
    'Arm − control, paired by image and by seed. Bold: the interval excludes 0, not '
    'corrected for multiple comparisons. Below: the difference of each seed, and the '
    'number of seeds with the sign of the mean. † one seed: not in bold, because the '
    'interval does not include the variance between runs.')
_RECOVERY = (
    "(student − control) / (teacher − control), with the control's runs of the "
    "student's seeds and the teacher's only run. *gap not shown*: the interval of "
    'teacher − control includes 0; *teacher worse*: it excludes 0 with the wrong sign; '
    '*∞*: with so few runs the gap may be 0. † one seed, as above. '
    "The paper's shares follow from its Table 1, which has another setting.")
_ACCURACY = (
    'By iteration: the share of feature maps, or images, that D classifies correctly '
    f'(0.5 is chance), as the mean over the preceding {_WINDOW:.0%} of the iterations; '
    'mean over seeds [smallest, largest].')
