"""Comparison grids: one row a face, one labelled column a model."""

from pathlib import Path
from typing import Sequence, Tuple, Union

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
    """Puts images side by side under their labels.

    Smaller images, the LR above all, are up-scaled to the cell by nearest neighbours,
    so that their pixels stay visible.

    Args:
        rows: for each face, its images in the order of `labels`, e.g. LR, bicubic,
            student, teacher, HR; each (h, w, 3) uint8 RGB.
        labels: one for each column.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no rows, a row of another length than the labels, or an image of
            another type or shape.
    """
    if not rows:
        raise ValueError('make_grid: there are no rows.')
    for number, row in enumerate(rows):
        _check_row(number, row, labels)
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


def _check_row(
    number: int, row: Sequence[np.ndarray], labels: Sequence[str],
) -> None:
    if len(row) != len(labels):
        raise ValueError(
            f'make_grid: row {number} has {len(row)} images for {len(labels)} labels.')
    for label, image in zip(labels, row):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'make_grid: row {number}, {label!r}: expected (h, w, 3) uint8 RGB, '
                f'found {image.shape} {image.dtype}.')


def _write(canvas: Image.Image, text: str, left: int, width: int) -> None:
    """Centres a label over its column, shrinking the letters of a long one."""
    draw = ImageDraw.Draw(canvas)
    for size in (14, 12, 10, 8, 6):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font=font) <= width:
            break
    centre: Tuple[float, float] = (left + width / 2, _HEADER / 2)
    draw.text(centre, text, fill=_INK, font=font, anchor='mm')


def save_grid(path: Union[str, Path], grid: np.ndarray) -> Path:
    """Writes a grid, whole or not.

    Args:
        path: the file, a JPEG if it is called `.jpg`, else a PNG; its folder is made.
        grid: (H, W, 3) uint8 RGB, as `make_grid` returns.

    Returns:
        The path.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path)
    with atomic_path(path) as part:
        Image.fromarray(grid).save(
            part, format='JPEG' if path.suffix.lower() == '.jpg' else 'PNG')
    return path
