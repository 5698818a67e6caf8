"""Plots of a study: learning curves, accuracy of D, forest plot of differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.evaluation import metric_info
from projects.distillation_study.study.drawing import (
    MARKERS,
    PLOTTED,
    STYLES,
    panels,
    save,
    unit_of,
)
from projects.distillation_study.study.question_plots import (
    draw_compute,
    draw_data,
    draw_only_lr,
    read_costs,
)
from projects.distillation_study.study.report import (
    Plan,
    accuracies,
    arms_of,
    compare,
    compared,
)
from projects.distillation_study.study.results import Results, Series, read_results

_LETTER = 0.06  # inches
_Lines = list[tuple[str, dict[int, Series]]]


def write_plots(plan: Plan, results_folder: str | Path, out: str | Path,
                which: str = 'val') -> list[Path]:
    """Writes the plots of a study.

    Args:
        plan: as for ``report.arms_of``, optionally with ``questions``.
        results_folder: as for ``read_results``.
        out: output folder; created if missing.
        which: list of the plots but the first two, ``val`` or ``test``.

    Returns:
        The files learning.png, accuracy.png, forest.png, and data.png, only_lr.png and
        compute.png of the questions; plots without data are left out.

    Raises:
        FileNotFoundError, ValueError: as for ``read_results``.
        OSError: the folder cannot be written.
    """
    results = read_results(results_folder)
    figures = dict(
        learning=draw_learning(plan, results), accuracy=draw_accuracy(plan, results),
        forest=draw_forest(plan, results, which),
        **_questions(plan, results, which))
    return [save(figure, Path(out) / f'{name}.png')
            for name, figure in figures.items() if figure is not None]


def _questions(plan: Plan, results: Results, which: str) -> dict[str, Any]:
    """Returns the plots of the plan's questions by name."""
    questions = plan.get('questions') or {}
    figures = {}
    if 'data' in questions:
        figures['data'] = draw_data(questions['data'], results, which)
    if 'only_lr' in questions:
        labels = {arm['name']: arm['label'] for arm in arms_of(plan, results)}
        figures['only_lr'] = draw_only_lr(
            [(name, labels[name]) for name in questions['only_lr']], results, which)
    if 'compute' in questions and Path(questions['compute']['costs']).is_file():
        settings = questions['compute']
        costs = {
            arm: read_costs(settings['costs'], arm, settings['iterations'], **needs)
            for arm, needs in settings['distilled'].items()}
        figures['compute'] = draw_compute(settings['plain'], costs, results, which)
    return figures


def draw_learning(plan: Plan, results: Results) -> Any | None:
    """Draws validation PSNR and LPIPS by iteration, one column per group of arms.

    Returns:
        A matplotlib figure; None if no values were logged.
    """
    groups: dict[str, _Lines] = {}
    arms = arms_of(plan, results)
    by_name = {arm['name']: arm for arm in arms}
    for arm in arms:
        groups.setdefault(arm['group'], [])
    for group in groups:
        names = dict.fromkeys(
            name for arm in arms if arm['group'] == group
            for name in (arm['control'], arm['name']) if name)
        groups[group] = [(by_name[name]['label'], results.curves(name))
                         for name in names if results.curves(name)]
    groups = {group: lines for group, lines in groups.items() if lines}
    if not groups:
        return None
    figure, axes = panels(len(PLOTTED), len(groups), 3.6, 2.5)
    for column, (group, lines) in enumerate(groups.items()):
        for row, metric in enumerate(PLOTTED):
            _draw_lines(axes[row][column], [
                (label, {seed: curve[f'val/{metric}'] for seed, curve in curves.items()
                         if f'val/{metric}' in curve}) for label, curves in lines])
        axes[0][column].set_title(group, fontsize=9)
        axes[-1][column].set_xlabel('iteration')
        _legend(axes[-1][column])
    for row, metric in enumerate(PLOTTED):
        info = metric_info(metric)
        axes[row][0].set_ylabel(f'validation {info.heading(metric)}{unit_of(info)}')
    return figure


def draw_accuracy(plan: Plan, results: Results) -> Any | None:
    """Draws the smoothed accuracy of D, one panel per group; None without any D."""
    groups: dict[str, _Lines] = {}
    for arm in arms_of(plan, results):
        found = [*accuracies(results, arm['name'])]
        for name, seeds in found:
            label = f'{arm["label"]} ({name})' if len(found) > 1 else arm['label']
            groups.setdefault(arm['group'], []).append((label, {
                seed: _smoothed(series) for seed, series in seeds.items()}))
    if not groups:
        return None
    figure, axes = panels(1, len(groups), 3.8, 2.9)
    for panel, (group, lines) in zip(axes[0], groups.items()):
        _draw_lines(panel, lines)
        panel.axhline(0.5, color='0.5', linewidth=0.8)
        panel.set(title=group, xlabel='iteration', ylim=(0.0, 1.04))
        panel.title.set_fontsize(9)
        _legend(panel)
    axes[0][0].set_ylabel('accuracy of D (0.5 is chance)')
    return figure


def draw_forest(plan: Plan, results: Results, which: str = 'val') -> Any | None:
    """Draws differences to the control with their intervals; None if there are none.

    Dots are filled if the interval excludes 0. Small strokes are the seeds. An arm with
    one seed is grey, because its interval does not include the effect of the seed. The
    band behind a row spans the largest difference between two seeds of the control.
    """
    arms = compared(plan, results)
    if not arms:
        return None
    places, titles = _rows(arms)
    labels = {arm['name']: arm['label'] for arm in arms_of(plan, results)}
    texts = [f'{arm["label"]} − {labels[arm["control"]]}' for arm in arms]
    figure, axes = panels(
        1, len(PLOTTED), 2.7, 0.27 * (max(places) + 1) + 0.9)
    figure.set_figwidth(figure.get_figwidth() + _LETTER * max(map(len, texts)))
    for panel, metric in zip(axes[0], PLOTTED):
        panel.axvline(0, color='0.5', linewidth=0.8)
        for arm, place in zip(arms, places):
            _draw_difference(panel, compare(results, arm, which, metric), place)
            means = results.samples(arm['control'], which, metric).values.mean(axis=1)
            panel.barh(place, 2 * np.ptp(means), 1, -np.ptp(means), color='0.93')
        info = metric_info(metric)
        better = 'right' if info.higher_is_better else 'left'
        panel.set_xlabel(f'Δ {metric}{unit_of(info)} (better: {better})')
        panel.grid(axis='x', color='0.9', linewidth=0.6)
        panel.set_ylim(max(places) + 0.7, -0.7)
    ticks = sorted([*zip(places, texts), *titles])
    axes[0][0].set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    for tick, (place, _) in zip(axes[0][0].get_yticklabels(), ticks):
        tick.set_weight('normal' if place in places else 'bold')
    for panel in axes[0]:
        panel.tick_params(axis='y', length=0)
    return figure


def _rows(arms: Sequence[Mapping[str, Any]]
          ) -> tuple[list[int], list[tuple[int, str]]]:
    """Returns the rows of the arms, and rows and names of the groups above them."""
    places, titles = [], []
    group = None
    for arm in arms:
        if arm['group'] != group:
            group = arm['group']
            titles.append((len(places) + len(titles), group))
        places.append(len(places) + len(titles))
    return places, titles


def _draw_difference(panel: Any, found: Any, place: int) -> None:
    estimate, several = found.estimate, len(found.seeds) > 1
    colour = 'black' if several else '0.5'
    panel.plot([estimate.low, estimate.high], [place, place], color=colour,
               linewidth=1.3, solid_capstyle='butt')
    panel.plot(estimate.mean, place, 'o', color=colour, markersize=5.5,
               markerfacecolor=colour if several and found.excludes_zero else 'white')
    if several:
        panel.plot(found.per_seed, [place + 0.27] * len(found.seeds), '|',
                   color='#c8501e', markersize=5, markeredgewidth=1.1)


def _draw_lines(panel: Any, lines: _Lines) -> None:
    """Draws each seed as a thin line and their mean as a thick one."""
    for number, (label, seeds) in enumerate(lines):
        style = STYLES[number % len(STYLES)]
        marker = MARKERS[number % len(MARKERS)]
        for iterations, values in seeds.values():
            panel.plot(iterations, values, **style, linewidth=0.6, alpha=0.55)
        if seeds:
            iterations, values = _mean_series([*seeds.values()])
            panel.plot(iterations, values, **style, linewidth=1.6, marker=marker,
                       markersize=4, markevery=max(1, len(iterations) // 8),
                       label=label)
    panel.grid(color='0.9', linewidth=0.6)


def _mean_series(series: Sequence[Series]) -> Series:
    """Returns the mean over the seeds at the iterations that all of them logged."""
    common = series[0][0]
    for iterations, _ in series[1:]:
        common = np.intersect1d(common, iterations)
    values = [found[np.isin(iterations, common)] for iterations, found in series]
    return common, np.mean(values, axis=0)


def _smoothed(series: Series, window: int = 5) -> Series:
    """Returns a running mean, because each logged value is of one batch."""
    iterations, values = series
    window = min(window, len(values))
    kernel = np.ones(window)
    return iterations, (np.convolve(values, kernel, 'same')
                        / np.convolve(np.ones(len(values)), kernel, 'same'))


def _legend(panel: Any) -> None:
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc='upper center', bbox_to_anchor=(0.5, -0.24), fontsize=7,
                     frameon=False, handlelength=4)
