"""Contact sheet of prepared faces for visual inspection."""
from __future__ import annotations

from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image, ImageDraw

from fdsr.datasets.face_manifest import FaceManifestDataset
from fdsr.reporting.grid import make_grid, save_grid

SHEET = 'contact_sheet.png'
_COLUMNS, _ROWS, _CELL = 8, 4, 128


def write_sheet(out: Path, splits: Sequence[str]) -> Path:
    """Writes an image of evenly spaced faces of each split with their landmarks.

    Args:
        out: Folder with the manifests of the splits.
        splits: Splits with faces, in the order of the rows.

    Returns:
        The path of the image.
    """
    rows = []
    blank = np.full((_CELL, _CELL, 3), 255, np.uint8)
    for split in splits:
        faces = FaceManifestDataset(out, split)
        count = min(len(faces), _COLUMNS * _ROWS)
        chosen = np.linspace(0, len(faces) - 1, count).round().astype(int)
        cells = [_cell(faces.load(int(index)), faces.size) for index in chosen]
        cells += [blank] * (-len(cells) % _COLUMNS)
        rows += [cells[start:start + _COLUMNS]
                 for start in range(0, len(cells), _COLUMNS)]
    labels = [' > '.join(splits), *[''] * (_COLUMNS - 1)]
    return save_grid(out / SHEET, make_grid(rows, labels))


def _cell(item: dict, size: int) -> np.ndarray:
    """Returns a face at the size of a cell with marked landmarks."""
    cell = Image.fromarray(item['img']).resize((_CELL, _CELL), Image.BICUBIC)
    draw = ImageDraw.Draw(cell)
    for x, y in ((item['landmarks'] + 0.5) * (_CELL / size) - 0.5).tolist():
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), outline=(0, 255, 0))
    return np.asarray(cell)
