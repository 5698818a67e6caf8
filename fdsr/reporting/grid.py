"""Comparison grids: one row per face, one labelled column per model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fdsr.utils.files import atomic_path

_HEADER = 20
_GAP = 2
_INK = (0, 0, 0)
_PAPER = (255, 255, 255)


def make_grid(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str],
) -> np.ndarray:
    """Arranges images in labelled columns.

    Smaller images, such as LR, are upsampled to the cell with nearest neighbours, so
    that their pixels stay visible.

    Args:
        rows: For each face its images in the order of `labels`, for example LR,
            bicubic, student, teacher, HR; each (h, w, 3) uint8 RGB.
        labels: One per column.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: There are no rows, a row has another length than `labels`, or an
            image has another type or shape.
    """
    if not rows:
        raise ValueError('make_grid: there are no rows.')
    for number, row in enumerate(rows):
        if len(row) != len(labels):
            raise ValueError(f'make_grid: row {number} has {len(row)} images for '
                             f'{len(labels)} labels.')
        for label, image in zip(labels, row):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    f'make_grid: row {number}, {label!r}: expected (h, w, 3) uint8 '
                    f'RGB, found {image.shape} {image.dtype}.')
    shapes = [image.shape for row in rows for image in row]
    cell_height = max(shape[0] for shape in shapes)
    cell_width = max(shape[1] for shape in shapes)
    step_x, step_y = cell_width + _GAP, cell_height + _GAP
    canvas = Image.new(
        'RGB', (len(labels) * step_x - _GAP, _HEADER + len(rows) * step_y - _GAP),
        _PAPER)
    for column, label in enumerate(labels):
        _write(canvas, label, column * step_x, cell_width)
        for number, row in enumerate(rows):
            cell = Image.fromarray(row[column])
            if cell.size != (cell_width, cell_height):
                cell = cell.resize((cell_width, cell_height), Image.NEAREST)
            canvas.paste(cell, (column * step_x, _HEADER + number * step_y))
    return np.asarray(canvas)


def _write(canvas: Image.Image, text: str, left: int, width: int) -> None:
    """Centres a label over its column, in a font size that fits the width."""
    draw = ImageDraw.Draw(canvas)
    for size in (14, 12, 10, 8, 6):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font=font) <= width:
            break
    draw.text((left + width / 2, _HEADER / 2), text, fill=_INK, font=font, anchor='mm')


def save_grid(path: str | Path, grid: np.ndarray) -> Path:
    """Writes a grid atomically.

    Args:
        path: The file; `.jpg` gives a JPEG, every other suffix a PNG. Missing folders
            are created.
        grid: (H, W, 3) uint8 RGB.

    Returns:
        The path.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    with atomic_path(path) as part:
        Image.fromarray(grid).save(
            part, format='JPEG' if path.suffix.lower() == '.jpg' else 'PNG')
    return path
