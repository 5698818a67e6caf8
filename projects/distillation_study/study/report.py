"""The results of a study as Markdown tables with their notes."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from fdsr.reporting.numbers import cell, heading, higher_is_better, interval
from fdsr.reporting.statistics import CONFIDENCE, RESAMPLES, Estimate
from fdsr.reporting.tables import markdown
from projects.distillation_study.study.results import METRICS, Results
from projects.distillation_study.study.statistics import (
    Difference,
    arm_mean,
    difference,
    gap_recovery,
)

#: The paper's Table 1.
PAPER = dict(
    teacher=dict(PSNR=26.74, SSIM=0.771, LPIPS=0.2413),
    control=dict(PSNR=25.837, SSIM=0.750, LPIPS=0.2746),
    student=dict(PSNR=26.623, SSIM=0.769, LPIPS=0.2511))
ACCURACY = 'd_accuracy_'
_BICUBIC = 'bicubic'
_SUMMARY = ('PSNR', 'LPIPS')  # the metrics of the short table
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the iterations, for D's accuracy
_WINDOW = 0.05  # of the iterations: a logged value is that of a single batch
_LISTS = dict(test='Test', val='Validation')
Arm = Mapping[str, Any]
Plan = Mapping[str, Any]
Table = Tuple[List[str], List[List[str]]]


def arms_of(plan: Plan, results: Results) -> List[Dict[str, Any]]:
    """The arms of a plan by group, every one with all keys.

    ``paired`` is added: whether a run is compared with the control's of the same seed.
    A teacher, of which there is one run, is compared with all of them.

    Args:
        plan: with ``arms``, each a dict with ``name`` and, if there are any, ``label``,
            ``group``, ``control``, ``beside``, ``teacher`` and ``seeds``, those that
            are planned.
        results: bicubic stands first if they have it and the plan does not.

    Raises:
        ValueError: a control, a teacher or an arm beside is not of the plan.
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
        for what, wanted in named + [('beside', other) for other in arm['beside']]:
            if wanted and wanted not in names:
                raise ValueError(f'The {what} of {arm["name"]} is {wanted!r}; the '
                                 f'arms of the plan are {", ".join(names)}.')
    groups = [*dict.fromkeys(arm['group'] for arm in arms)]
    return sorted(arms, key=lambda arm: groups.index(arm['group']))


def compared(plan: Plan, results: Results) -> List[Dict[str, Any]]:
    """What is compared: teachers and controls, arms and controls, arms and others.

    Returns:
        The arms of which a run has a control of the same seed; before them, each
        teacher with the control of a student of its, as group 'the gap', if it is not
        among the arms; behind them each arm with those that it names as ``beside``,
        these in the control's place, as group 'arm beside arm'.
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
    """How many runs of an arm go together with one of its control."""
    runs, controls = (set(results.seeds(arm[what])) for what in ('name', 'control'))
    if arm['paired']:
        return len(runs & controls)
    return len(runs) if controls else 0


def compare(results: Results, arm: Arm, which: str, metric: str) -> Difference:
    """How much an arm differs from its control on a list."""
    return difference(results.samples(arm['name'], which, metric),
                      results.samples(arm['control'], which, metric),
                      paired=arm['paired'])


# Tables

def summary_table(plan: Plan, results: Results, which: str) -> Table:
    """Returns PSNR and LPIPS of the arms with several runs and of their teachers.

    Args:
        plan: as for ``arms_of``.
        results: of its runs.
        which: 'val' or 'test'.
    """
    arms = arms_of(plan, results)
    several = {arm['name'] for arm in arms if len(results.seeds(arm['name'])) > 1}
    teachers = {arm['teacher'] for arm in arms if arm['name'] in several}
    labels = {arm['name']: arm['label'] for arm in arms}
    comparisons: Dict[str, Dict[str, Any]] = {}
    for arm in compared(plan, results):
        comparisons.setdefault(arm['name'], arm)
    lines = []
    for arm in arms:
        name = arm['name']
        if name not in several and not (name in teachers and results.seeds(name)):
            continue
        lines.append([arm['label'], str(len(results.seeds(name))), *(
            cell(metric, arm_mean(results.samples(name, which, metric)).mean)
            for metric in _SUMMARY),
            *_comparison_cells(results, comparisons.get(name), labels, which)])
    return ['Arm', 'runs', *map(heading, _SUMMARY), 'compared with',
            *(f'Δ {heading(metric)}' for metric in _SUMMARY), 'LPIPS gap closed'], lines


def _comparison_cells(results: Results, arm: Optional[Arm], labels: Mapping[str, str],
                      which: str) -> List[str]:
    """The control, the differences to it, and the closed share of the LPIPS gap."""
    if arm is None:
        return ['–'] * (2 + len(_SUMMARY))
    learns = arm['teacher'] and results.seeds(arm['teacher'])
    return [labels[arm['control']], *(
        _estimate_cell(metric, compare(results, arm, which, metric))
        for metric in _SUMMARY),
        _recovery_cell(results, arm, which, 'LPIPS') if learns else '–']


def arms_table(plan: Plan, results: Results, which: str) -> Table:
    """Every arm's means; of unfinished ones, which seeds there are.

    Args:
        plan: as for ``arms_of``.
        results: of its runs.
        which: 'val' or 'test'.
    """
    lines = []
    for arm in arms_of(plan, results):
        seeds = results.seeds(arm['name'])
        missing = sorted(set(arm['seeds'] or ()) - set(seeds))
        found = ', '.join(map(str, seeds))
        if missing or not seeds:
            wanted = ', '.join(map(str, missing)) or 'all'
            found = f'{found} *(unfinished: {wanted})*'.strip()
        lines.append([arm['label'], arm['group'], found, *(
            interval(metric, arm_mean(results.samples(arm['name'], which, metric)))
            if seeds else cell(metric, None) for metric in METRICS)])
    return ['Arm', 'group', 'seeds', *map(heading, METRICS)], lines


def differences_table(plan: Plan, results: Results, which: str) -> Table:
    """Every arm's differences to its control; below them, those of each seed."""
    labels = {arm['name']: arm['label'] for arm in arms_of(plan, results)}
    lines = []
    for arm in compared(plan, results):
        lines.append([_marked(results, arm), labels[arm['control']], *(
            _difference_cell(metric, compare(results, arm, which, metric))
            for metric in METRICS)])
    return ['Arm', 'control', *(f'Δ {heading(name)}' for name in METRICS)], lines


def _marked(results: Results, arm: Arm) -> str:
    """Its label, with a † where but one run is compared."""
    return arm['label'] + ('' if _runs_compared(results, arm) > 1 else ' †')


def _estimate_cell(metric: str, found: Difference) -> str:
    text = interval(metric, found.estimate, sign='+')
    return f'**{text}**' if found.excludes_zero else text


def _difference_cell(metric: str, found: Difference) -> str:
    text = _estimate_cell(metric, found)
    if len(found.seeds) < 2:
        return text
    by_seed = ', '.join(cell(metric, value, '+') for value in found.per_seed)
    return f'{text}<br>{by_seed} ({found.agreeing}/{len(found.seeds)})'


def recovery_table(plan: Plan, results: Results, which: str) -> Table:
    """The share of the gap to its teacher that every student closes."""
    lines = []
    for arm in compared(plan, results):
        if arm['teacher'] and results.seeds(arm['teacher']):
            lines.append([_marked(results, arm), *(
                _recovery_cell(results, arm, which, metric) for metric in METRICS)])
    paper = paper_recovery()
    lines.append(['*the paper*', *(
        _percent(paper[metric]) if metric in paper else cell(metric, None)
        for metric in METRICS)])
    return ['Student', *METRICS], lines


def _recovery_cell(results: Results, arm: Arm, which: str, metric: str) -> str:
    teacher = dict(name=arm['teacher'], control=arm['control'], paired=False)
    gap = compare(results, teacher, which, metric).estimate.mean
    found = gap_recovery(*(results.samples(arm[key], which, metric)
                           for key in ('name', 'control', 'teacher')))
    if found is None:
        return 'gap not shown'
    if (gap > 0) != higher_is_better(metric):
        return 'teacher worse'
    return _share(found)


def _share(found: Estimate) -> str:
    low, high = (f'{100 * end:.0f}'.replace('inf', '∞')
                 for end in (found.low, found.high))
    return f'{_percent(found.mean)} [{low}, {high}]'


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'


def paper_recovery() -> Dict[str, float]:
    """The shares that follow from the paper's Table 1."""
    student, control, teacher = (PAPER[name] for name in (
        'student', 'control', 'teacher'))
    return {metric: (student[metric] - control[metric])
            / (teacher[metric] - control[metric]) for metric in teacher}


def accuracies(results: Results, name: str
               ) -> Iterator[Tuple[str, Dict[int, Tuple[np.ndarray, np.ndarray]]]]:
    """Each discriminator's name and {seed: its logged accuracy} of an arm."""
    curves = results.curves(name)
    columns = dict.fromkeys(column for curve in curves.values() for column in curve
                            if column.startswith(ACCURACY))
    for column in columns:
        yield column[len(ACCURACY):], {
            seed: curve[column] for seed, curve in curves.items() if column in curve}


def accuracy_table(plan: Plan, results: Results) -> Table:
    """Returns the accuracy of each discriminator: mean over the seeds, and range."""
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


def _accuracy_cell(seeds: Mapping[int, Tuple[np.ndarray, np.ndarray]], place: int,
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


# The documents

def summary(plan: Plan, results: Results, which: str) -> str:
    """Returns the short table for the page of the study.

    Args:
        plan: as for ``arms_of``.
        results: of its runs.
        which: 'val' or 'test'.
    """
    table = summary_table(plan, results, which)
    if not table[1]:
        return _NOTHING
    note = f'{_LISTS[which]}: {len(results.images(which))} images. {_SUMMARY_NOTE}'
    return '\n'.join([*markdown(*table), '', note])


def report(plan: Plan, results: Results,
           lists: Sequence[str] = ('test', 'val')) -> str:
    """Returns all tables, for the appendix.

    Args:
        plan: as for ``arms_of``.
        results: of its runs.
        lists: which lists, in order.
    """
    parts: List[str] = []
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
        parts += [f'Results that are not of the plan: {", ".join(others)}.', '']
    return '\n'.join(parts).strip()


def _section(title: str, table: Table, note: str) -> List[str]:
    lines = markdown(*table) if table[1] else [_NOTHING]
    return [f'### {title}', '', *lines, '', note, '']


def _intervals() -> str:
    return (
        f'Intervals: about {CONFIDENCE:.0%}, bootstrap over seeds and images, drawn '
        f'independently, {RESAMPLES} resamples; the contribution of the seeds is '
        'widened to Student\'s t for the small number of runs. With one seed, the '
        'interval covers the images only.')


_NOTHING = '*There is nothing to compare yet.*'
_SUMMARY_NOTE = (
    'Δ: arm − control, paired by image and seed, with intervals of about '
    f'{CONFIDENCE:.0%} over seeds and images (arms with one run: over images and the '
    'seeds of the control). Bold: the interval excludes 0; not corrected for the '
    'number of comparisons. *LPIPS gap closed*: (student − control) / (teacher − '
    'control); *gap not shown*: the interval of teacher − control contains 0; '
    '*teacher worse*: the teacher is worse than the control.')
_DIFFERENCES = (
    'Arm − control, paired by image and seed. Bold: the interval excludes 0; it is not '
    'corrected for the number of comparisons. Second line: the difference of each '
    'seed, and how many have the sign of the mean. † one seed: the interval does not '
    'include the variation between runs of this arm.')
_RECOVERY = (
    '(student − control) / (teacher − control), with the control\'s runs of the '
    'student\'s seeds. *gap not shown*: the interval of teacher − control contains 0, '
    'so the denominator may be 0; *teacher worse*: that interval excludes 0 in the '
    'wrong direction; *∞*: with so few runs the gap may be 0. Each teacher is a single '
    'run and is treated as fixed. † one seed, as above. The paper\'s shares follow '
    'from its Table 1, which was measured in another setting.')
_ACCURACY = (
    'By iteration: the share of feature maps, or images, that D classifies correctly '
    '(0.5 is chance), averaged over the values logged in the preceding '
    f'{_WINDOW:.0%} of the iterations; mean over the seeds [minimum, maximum].')
