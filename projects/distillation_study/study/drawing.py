"""Drawing of figures, common to all plots of a study."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdsr.evaluation import MetricInfo, metric_info
from fdsr.reporting.bootstrap import Estimate
from fdsr.utils.files import atomic_path

PLOTTED = ('PSNR', 'LPIPS')
_DPI = 110
_COLOURS = 64  # of a PNG
#: Lightness, dashes and markers also differ in grey.
STYLES = [
    dict(color='#000000', linestyle='-'),
    dict(color='#c8501e', linestyle='--'),
    dict(color='#2166ac', linestyle='-.'),
    dict(color='#7fbf7b', linestyle=':'),
    dict(color='#af8dc3', linestyle=(0, (6, 1, 1, 1, 1, 1))),
    dict(color='#d9a400', linestyle=(0, (1, 1))),
    dict(color='#666666', linestyle=(0, (8, 3))),
    dict(color='#40b0a6', linestyle=(0, (4, 1, 1, 1)))]
MARKERS = 'os^DvPX*p'


def unit_of(info: MetricInfo) -> str:
    """Returns a unit behind a comma, or nothing."""
    return f', {info.unit}' if info.unit else ''


def panels(rows: int, columns: int, width: float, height: float,
           sharey: str | bool = 'row') -> tuple[Any, Any]:
    """Returns a figure and its (rows, columns) panels of a size in inches."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    figure = Figure(figsize=(columns * width + 0.5, rows * height), dpi=_DPI,
                    layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    for panel in axes.flat:
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_size(8)
        panel.yaxis.label.set_size(8)
        for side in ('top', 'right'):
            panel.spines[side].set_visible(False)
    return figure, axes


def draw_differences(rows: Mapping[str, Mapping[str, Estimate]]) -> Any:
    """Draws differences below each other with their intervals, a panel per metric.

    Args:
        rows: {label: {metric: estimate}} for the metrics of ``PLOTTED``.

    Returns:
        A matplotlib figure.
    """
    figure, axes = panels(1, len(PLOTTED), 3.2, 0.3 * len(rows) + 0.8)
    for panel, metric in zip(axes[0], PLOTTED):
        panel.axvline(0, color='0.5', linewidth=0.8)
        for place, estimates in enumerate(rows.values()):
            found = estimates[metric]
            panel.plot([found.low, found.high], [place, place], color='black',
                       linewidth=1.3, solid_capstyle='butt')
            panel.plot(found.mean, place, 'o', color='black', markersize=5.5)
        info = metric_info(metric)
        panel.set_xlabel(f'Δ {info.heading(metric)}{unit_of(info)}')
        panel.grid(axis='x', color='0.9', linewidth=0.6)
        panel.set_ylim(len(rows) - 0.5, -0.5)
    axes[0][0].set_yticks(range(len(rows)), [*rows])
    return figure


def save(figure: Any, path: Path) -> Path:
    """Writes a PNG with few colours, atomically."""
    from PIL import Image
    drawn = io.BytesIO()
    figure.savefig(drawn, format='png', dpi=_DPI)
    image = Image.open(drawn).convert('RGB').quantize(
        _COLOURS, dither=Image.Dither.NONE)
    with atomic_path(path) as part:
        image.save(part, format='png', optimize=True)
    return path
