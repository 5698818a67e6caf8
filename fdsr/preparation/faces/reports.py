"""Reports of prepared faces: counts of each split and a contact sheet."""
from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from fdsr.datasets.face_manifest import FaceManifestDataset
from fdsr.preparation.faces.cutting import KINDS
from fdsr.reporting.grid import make_grid, save_grid

SHEET = 'contact_sheet.png'
_COLUMNS, _ROWS, _CELL = 8, 4, 128
#: Thresholds of the counts by side of the crop and by sharpness.
SIDES = (64, 128, 200, 256, 512, 1024)
SHARPNESS = (4, 16, 64, 256, 1024)


class SplitStatistics:
    """Counts of one split, updated shard by shard."""

    def __init__(self) -> None:
        self.kept, self.padded, self.up_sampled, self.eyes = 0, 0, 0, 0.0
        self.skipped: Counter[str] = Counter()
        self.narrower: Counter[int] = Counter()
        self.softer: Counter[int] = Counter()

    def add(self, kept: np.ndarray, skipped: Sequence[tuple[str, str, str]],
            size: int) -> None:
        """Adds a shard.

        Args:
            kept: Records of its faces.
            skipped: (name, kind, reason) of the skipped images.
            size: Side of HR in pixels.
        """
        self.kept += len(kept)
        self.skipped.update(kind for _, kind, _ in skipped)
        self.up_sampled += int((kept['side'] < size).sum())
        self.padded += int((kept['padded'] > 0).sum())
        for side in SIDES:
            self.narrower[side] += int((kept['side'] < side).sum())
        for value in SHARPNESS:
            self.softer[value] += int((kept['sharpness'] < value).sum())
        eyes = (kept['landmarks'][:, 1] - kept['landmarks'][:, 0]).astype(np.float64)
        self.eyes += float(np.linalg.norm(eyes, axis=1).sum()) / size

    def summary(self) -> dict[str, Any]:
        """Returns plain JSON for manifests."""
        return dict(
            listed=self.kept + sum(self.skipped.values()), kept=self.kept,
            skipped={kind: self.skipped[kind] for kind in KINDS if self.skipped[kind]},
            up_sampled=self.up_sampled, padded=self.padded,
            mean_eye_share=round(self.eyes / self.kept, 4) if self.kept else 0.0)

    def rows(self) -> Iterator[tuple[str, int]]:
        """Yields (what, faces) for the report."""
        yield 'listed', self.kept + sum(self.skipped.values())
        yield 'kept', self.kept
        for kind in KINDS:
            yield f'skipped: {kind}', self.skipped[kind]
        yield 'kept, enlarged to HR', self.up_sampled
        yield 'kept, reflected beyond the image', self.padded
        for side in SIDES:
            yield f'kept, cut below {side} px', self.narrower[side]
        for value in SHARPNESS:
            yield f'kept, sharpness below {value}', self.softer[value]


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
