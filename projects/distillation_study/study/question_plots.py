"""Plots of the second study's questions: data, images without HR, total compute."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdsr.evaluation import metric_info
from fdsr.evaluation.protocol import read_rows
from fdsr.reporting.bootstrap import paired_difference
from projects.distillation_study.study.costs import Costs, iterations_to_reach
from projects.distillation_study.study.drawing import (
    MARKERS,
    PLOTTED,
    STYLES,
    draw_differences,
    panels,
    unit_of,
)
from projects.distillation_study.study.gate import finished
from projects.distillation_study.study.results import Results
from projects.distillation_study.study.statistics import difference

STUDENTS = (1, 2, 4, 8)  # per teacher


def draw_data(lines: Mapping[str, Mapping[int, str]], results: Results,
              which: str = 'val') -> Any | None:
    """Draws PSNR and LPIPS by the number of training faces.

    Error bars span the seeds.

    Args:
        lines: {label: {number of faces: name of the arm}}; arms without results are
            left out.
        results: the results.
        which: ``val`` or ``test``.

    Returns:
        A matplotlib figure; None if no line has two points.
    """
    known = {label: {count: arm for count, arm in arms.items() if results.seeds(arm)}
             for label, arms in lines.items()}
    if max(map(len, known.values()), default=0) < 2:
        return None
    figure, axes = panels(1, len(PLOTTED), 3.2, 2.9, sharey=False)
    for panel, metric in zip(axes[0], PLOTTED):
        for number, (label, arms) in enumerate(known.items()):
            seeds = [results.samples(arm, which, metric).values.mean(axis=1)
                     for arm in arms.values()]
            means = [one.mean() for one in seeds]
            panel.errorbar(
                [*arms], means,
                [[mean - one.min() for mean, one in zip(means, seeds)],
                 [one.max() - mean for mean, one in zip(means, seeds)]],
                **STYLES[number], marker=MARKERS[number], markersize=4, linewidth=1.4,
                capsize=2, elinewidth=0.8, label=label)
        ticks = sorted({count for arms in known.values() for count in arms})
        _logarithmic(panel, ticks)
        info = metric_info(metric)
        panel.set(xlabel='training faces with HR',
                  ylabel=f'{info.heading(metric)}{unit_of(info)}')
    axes[0][0].legend(fontsize=8, frameon=False)
    return figure


def draw_only_lr(arms: Sequence[tuple[str, str]], results: Results,
                 which: str = 'val') -> Any | None:
    """Draws the differences of arms to the first one, paired by seed and image.

    Args:
        arms: names and labels.
        results, which: as for ``draw_data``.

    Returns:
        A matplotlib figure; None if fewer than two arms have results.
    """
    arms = [(name, label) for name, label in arms if results.seeds(name)]
    if len(arms) < 2:
        return None
    (first, control), *others = arms
    return draw_differences({
        f'{label} − {control}': {
            metric: difference(results.samples(name, which, metric),
                               results.samples(first, which, metric)).estimate
            for metric in PLOTTED} for name, label in others})


def draw_gate(path: Path) -> Any:
    """Draws the differences of the gate's variants to its reference.

    Args:
        path: the gate's results.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: fewer than two variants are finished.
    """
    variants = finished(path)
    if len(variants) < 2:
        raise ValueError(f'{path} has {len(variants)} finished variants, the figure '
                         'needs two: run gate.py without --report first.')
    reference, *others = variants.items()
    return draw_differences({
        f'{name} − {reference[0]}': {
            metric: paired_difference(values[metric], reference[1][metric])[0]
            for metric in PLOTTED} for name, values in others})


def read_costs(path: str | Path, distilled: str, iterations: int,
               parts: Sequence[str] = ('teacher',), teacher_iterations: int = 0
               ) -> Costs:
    """Reads the costs that ``time_iterations.py --out`` wrote.

    Args:
        path: file with the parts of the joint run ``main`` and of the teacher's
            training.
        distilled: name of the distilled arm.
        iterations: iterations of a student.
        parts: what the arm needs in each iteration besides its own step:
            ``teacher``, ``atoms of HR``.
        teacher_iterations: iterations of the teacher's training; 0 if the arm needs no
            trained teacher.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a part is missing.
    """
    seconds = {(row['config'], row['part']): float(row['seconds'])
               for row in read_rows(path)}
    try:
        load = seconds['main', 'loading a batch']
        return Costs(
            student=load + seconds['main', 'plain'],
            distilled=load + seconds['main', distilled],
            forward=sum(seconds['main', part] for part in parts),
            teacher=(seconds['teacher', 'loading a batch']
                     + seconds['teacher', 'iteration']),
            iterations=iterations, teacher_iterations=teacher_iterations)
    except KeyError as missing:
        raise ValueError(f'{path}: the row {missing.args[0]} is missing. Measure it '
                         'with time_iterations.py --out.') from None


def draw_compute(plain: Mapping[int, str], distilled: Mapping[str, Costs],
                 results: Results, which: str = 'val') -> Any | None:
    """Draws LPIPS by core hours per student, including a share of the teacher's.

    LPIPS is relative to the shortest plain training of the same seed, so that arms with
    other numbers of seeds are comparable.

    Args:
        plain: {iterations: name of the arm} of plain students.
        distilled: {name of a distilled arm: its costs in CPU seconds}; an arm without
            results is omitted.
        results, which: as for ``draw_data``.

    Returns:
        A matplotlib figure, whose legend has the break-even numbers; None without
        results of a distilled arm and of two plain ones.
    """
    plain = {count: arm for count, arm in sorted(plain.items()) if results.seeds(arm)}
    distilled = {arm: costs for arm, costs in distilled.items() if results.seeds(arm)}
    if len(plain) < 2 or not distilled:
        return None
    student = next(iter(distilled.values())).student
    shortest = results.samples(plain[min(plain)], which, 'LPIPS')
    gain = {arm: difference(results.samples(arm, which, 'LPIPS'), shortest).estimate
            for arm in (*plain.values(), *distilled)}
    curve = {count: gain[arm].mean for count, arm in plain.items()}
    figure, axes = panels(1, 1, 4.8, 3.0)
    panel = axes[0][0]
    everything = [count * student / 3600 for count in curve]
    panel.plot(everything, [*curve.values()], **STYLES[0], marker=MARKERS[0],
               markersize=4, label='plain')
    for count, value in curve.items():
        panel.annotate(f'{count:,} iterations', (count * student / 3600, value),
                       xytext=(4, 4), textcoords='offset points', fontsize=7)
    for place, (arm, costs) in enumerate(distilled.items(), 1):
        reached = gain[arm].mean
        hours = [costs.per_distilled_student / 3600]
        if costs.teacher_iterations:
            hours = [costs.total(count) / count / 3600 for count in STUDENTS] + hours
        panel.plot(hours, [reached] * len(hours), **STYLES[place],
                   marker=MARKERS[place], markersize=4, label=_break_even(
                       arm, costs, iterations_to_reach(curve, reached)))
        everything += hours
    _logarithmic(panel, [tick for tick in (2.0**power for power in range(-9, 10))
                         if min(everything) / 1.4 < tick < max(everything) * 1.4])
    info = metric_info('LPIPS')
    panel.set(xlabel='core hours per student',
              ylabel=f'{info.heading("LPIPS")} relative to plain,\n{min(plain):,} '
              'iterations, same seed')
    panel.legend(fontsize=7, frameon=False, loc='upper center',
                 bbox_to_anchor=(0.5, -0.24))
    return figure


def _break_even(arm: str, costs: Costs, plain_iterations: float) -> str:
    """Returns the label of a distilled arm."""
    number = costs.break_even(plain_iterations)
    if not costs.teacher_iterations:
        return (f'{arm}, without a trained teacher:\ncosts '
                f'{"more" if number is None else "less"} than plain for this LPIPS')
    students = ', '.join(map(str, STUDENTS))
    return (f'{arm}, from right to left: {students} students per\nteacher, an existing '
            'teacher; break-even: '
            + ('never' if number is None else f'{number} students per teacher'))


def _logarithmic(panel: Any, ticks: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator
    panel.set_xscale('log')
    panel.grid(color='0.9', linewidth=0.6)
    panel.set_xticks(ticks, [f'{tick:,.4g}' for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
