"""Counts of a split for reports, in constant memory."""
from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Sequence

import numpy as np

from fdsr.preparation.faces.cutting import KINDS

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
