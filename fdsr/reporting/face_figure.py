"""The qualitative figure: one row per face, one column per method."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.utils.files import atomic_path

_DPI = 200
_GAP, _HEADER, _CAPTION = 6, 34, 30  # pixels
_LETTERS = 8  # points
_LETTER, _LINE = 13, 25  # width of a letter and height of a line, in pixels
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FigureFace:
    """One row of the figure.

    Args:
        images: {label: (h, w, 3) uint8 RGB}. Smaller images, such as LR, are upsampled
            with nearest neighbours.
        captions: {label: text below the image}.
        zooms: Regions that are shown enlarged below, each x1, y1, x2, y2 in pixels of
            the largest image.
    """

    images: dict[str, np.ndarray]
    captions: dict[str, str] = field(default_factory=dict)
    zooms: Sequence[Box] = ()


def draw_figure(faces: Sequence[FigureFace], labels: Sequence[str]) -> Any:
    """Draws the figure, each image pixel as a whole number of PNG pixels.

    Args:
        faces: The rows.
        labels: The columns; labels wider than an image are wrapped.

    Returns:
        A matplotlib figure for ``save_figure``.

    Raises:
        ValueError: There are no faces or labels, or a face lacks the image of a label.
    """
    _check(faces, labels)
    from matplotlib.figure import Figure
    side = max(image.shape[0] for face in faces for image in face.images.values())
    cell = side * max(1, round(256 / side))
    heights = [
        cell + sum(_zoom_height(box, cell) + _GAP for box in face.zooms)
        + (_CAPTION if face.captions else 0) for face in faces]
    width = len(labels) * (cell + _GAP) - _GAP
    titles = [textwrap.fill(label, cell // _LETTER) for label in labels]
    header = _HEADER + _LINE * max(title.count('\n') for title in titles)
    total = header + sum(heights) + _GAP * (len(faces) - 1)
    figure = Figure(figsize=(width / _DPI, total / _DPI), dpi=_DPI)
    canvas = _Canvas(figure, width, total)
    for column, (label, title) in enumerate(zip(labels, titles)):
        left = column * (cell + _GAP)
        canvas.write(title, left + cell / 2, header / 2)
        top = header
        for face, height in zip(faces, heights):
            _draw_cell(canvas, face, label, left, top, cell, side)
            top += height + _GAP
    return figure


def _check(faces: Sequence[FigureFace], labels: Sequence[str]) -> None:
    if not faces or not labels:
        raise ValueError('draw_figure: there are no faces, or no labels.')
    for number, face in enumerate(faces):
        missing = [label for label in labels if label not in face.images]
        if missing:
            raise ValueError(
                f'draw_figure: face {number} has no image of {missing[0]!r}, found '
                f'{", ".join(face.images)}.')


def _zoom_height(box: Box, cell: int) -> int:
    x1, y1, x2, y2 = box
    return round((y2 - y1) * cell / (x2 - x1))


def _draw_cell(canvas: '_Canvas', face: FigureFace, label: str, left: int, top: int,
               cell: int, side: int) -> None:
    image = face.images[label]
    canvas.show(image, left, top, cell, cell)
    top += cell + _GAP
    index = np.arange(side) * len(image) // side  # nearest neighbours
    large = image[index[:, None], index]
    for x1, y1, x2, y2 in face.zooms:
        height = _zoom_height((x1, y1, x2, y2), cell)
        canvas.show(large[y1:y2, x1:x2], left, top, cell, height)
        top += height + _GAP
    if face.captions:
        canvas.write(face.captions.get(label, ''), left + cell / 2,
                     top - _GAP + _CAPTION / 2)


class _Canvas:
    """Places images and text in pixels from the top left corner of a figure."""

    def __init__(self, figure: Any, width: int, height: int) -> None:
        self.figure, self.width, self.height = figure, width, height

    def show(self, image: np.ndarray, left: int, top: int, width: int,
             height: int) -> None:
        axes = self.figure.add_axes((
            left / self.width, 1 - (top + height) / self.height,
            width / self.width, height / self.height))
        axes.imshow(image, interpolation='nearest', aspect='auto')
        axes.set_axis_off()

    def write(self, text: str, x: float, y: float) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, ha='center',
                         va='center', fontsize=_LETTERS)


def zoom_regions(boxes: np.ndarray, side: int) -> list[Box]:
    """Returns the regions of the eyes and of the mouth for ``FigureFace.zooms``.

    Args:
        boxes: (4, 4) component boxes in pixels.
        side: Side of the image; the regions are clipped to it.
    """
    left_eye, right_eye, _, mouth = np.asarray(boxes, dtype=np.float64)
    eyes = (left_eye[0], min(left_eye[1], right_eye[1]), right_eye[2],
            max(left_eye[3], right_eye[3]))
    regions = []
    for region in (eyes, mouth):
        x1, y1, x2, y2 = np.clip(np.round(region), 0, side).astype(int).tolist()
        x1, y1 = min(x1, side - 2), min(y1, side - 2)
        regions.append((x1, y1, max(x2, x1 + 2), max(y2, y1 + 2)))
    return regions


def save_figure(figure: Any, path: str | Path) -> list[Path]:
    """Writes a figure as PNG and as PDF, atomically.

    Args:
        figure: As ``draw_figure`` returns it.
        path: Path of both files, with or without suffix; missing folders are created.

    Returns:
        The two paths.

    Raises:
        OSError: A file cannot be written.
    """
    path = Path(path)
    path = path.with_suffix('') if path.suffix in ('.png', '.pdf') else path
    written = []
    for kind in ('png', 'pdf'):
        target = path.with_name(f'{path.name}.{kind}')
        with atomic_path(target) as part:
            figure.savefig(part, format=kind, dpi=_DPI)
        written.append(target)
    return written
