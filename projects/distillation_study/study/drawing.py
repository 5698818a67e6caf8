"""Drawing of figures, common to all plots of a study."""

import io
from pathlib import Path
from typing import Any

from fdsr.evaluation import MetricInfo
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
