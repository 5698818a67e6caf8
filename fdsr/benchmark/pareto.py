"""Quality against time: the methods that no other beats in both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdsr.benchmark.degradations import ALL
from fdsr.evaluation.protocol import read_rows

Values = dict[str, float]


def read_quality(path: str | Path, degradations: Sequence[str],
                 column: str = 'LPIPS') -> dict[str, Values]:
    """Reads the means over all faces from a table.csv of ``run_degradations``.

    Args:
        path: The file.
        degradations: Names, in the order of the result.
        column: The metric.

    Returns:
        {degradation: {method: mean}}, without the methods that were not measured.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is another table, or lacks a degradation.
    """
    rows = read_rows(path)
    if not rows or not {'method', 'degradation', 'faces', column} <= set(rows[0]):
        raise ValueError(
            f'{path}: expected table.csv of a benchmark over degradations with the '
            f'metric {column}, found the columns {[*rows[0]] if rows else "of none"}. '
            'Run tools/benchmark.py configs/benchmark/robust.py.')
    found: dict[str, Values] = {}
    for row in rows:
        if row['faces'] == ALL and row[column]:
            found.setdefault(row['degradation'], {})[row['method']] = float(row[column])
    missing = [name for name in degradations if name not in found]
    if missing:
        raise ValueError(f'{path} has no {column} of the degradation {missing[0]!r}, '
                         f'found {[*found]}.')
    return {name: found[name] for name in degradations}


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Returns the names that no other point beats in both values, by the first value.

    Args:
        points: {name: two values}, of which smaller ones are better.
    """
    best, names = float('inf'), []
    for name, (_, value) in sorted(points.items(), key=lambda item: item[1]):
        if value < best:
            best = value
            names.append(name)
    return names


def pareto_figure(quality: Mapping[str, Values], ms: Values, label: str) -> Any:
    """Returns a matplotlib figure of LPIPS against time, one panel per degradation.

    Args:
        quality: As ``read_quality`` returns it. Methods without a time are not shown.
        ms: {method: milliseconds per face}.
        label: Label of the time.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter
    figure = Figure(figsize=(4.5 * len(quality), 3.8), dpi=150, layout='constrained')
    panels = figure.subplots(1, len(quality), squeeze=False)[0]
    for axes, (name, values) in zip(panels, quality.items()):
        points = {one: (ms[one], values[one]) for one in ms if one in values}
        if points:
            axes.plot(*zip(*points.values()), 'o')
            axes.plot(*zip(*(points[one] for one in pareto_front(points))), alpha=0.5)
        for one, position in points.items():
            axes.annotate(one, position, xytext=(0, 6), textcoords='offset points',
                          ha='center')
        axes.set(title=name, xscale='log', xlabel=label, ylabel='LPIPS ↓')
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter('{x:g}')
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.15)
        axes.grid(alpha=0.3, which='both')
    return figure
