"""Several datasets of faces as one."""
from __future__ import annotations

import hashlib
from typing import Any, Sequence

import numpy as np

from fdsr.datasets.base import FaceDataset
from fdsr.registry import DATASETS


@DATASETS.register_module()
class ConcatFaces(FaceDataset):
    """The samples of several datasets, one dataset after the other.

    Unlike mmengine's ``ConcatDataset`` it has one pipeline, seed, report and protocol,
    and it resumes exactly.

    Args:
        datasets: Configs of :class:`FaceDataset` subclasses with the same crop, or the
            datasets. Their pipelines are not used. Configs without a name get
            ``NAME_1``, ``NAME_2``, …, which also names their reports.
        **options: Arguments of :class:`FaceDataset`.

    Raises:
        ValueError: ``datasets`` is empty, size or eye share differ, or two datasets
            start with the same face.
    """

    def __init__(self, datasets: Sequence[dict | FaceDataset], **options: Any) -> None:
        super().__init__(**options)
        self.datasets = [
            DATASETS.build({'name': f'{self.name}_{number}', **one})
            if isinstance(one, dict) else one for number, one in enumerate(datasets, 1)]
        crops = [(one.size, one.mean_eye_share()) for one in self.datasets]
        if not crops or any(not np.allclose(crop, crops[0]) for crop in crops):
            raise ValueError(
                'ConcatFaces: expected datasets with the same size and eye share, '
                f'found {crops}.')
        firsts = [one.sample_name(0) for one in self.datasets]
        if len(set(firsts)) < len(firsts):
            raise ValueError(
                f'ConcatFaces: the datasets start with {", ".join(firsts)}: two of '
                'them are the same. With --data-root, give one folder for each.')
        self.size = self.datasets[0].size
        self._ends = np.cumsum([len(one) for one in self.datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _find(self, index: int) -> tuple[FaceDataset, int]:
        number = int(np.searchsorted(self._ends, index, 'right'))
        return self.datasets[number], index - int(self._ends[number]) + len(
            self.datasets[number])

    @property
    def num_skipped(self) -> int:
        """Number of samples skipped so far, also in the indices of the datasets."""
        return super().num_skipped + sum(one.num_skipped for one in self.datasets)

    def load(self, index: int) -> dict[str, Any]:
        """Loads the sample from its dataset, see :class:`FaceDataset`."""
        dataset, inner = self._find(index)
        return dataset.load(inner)

    def sample_name(self, index: int) -> str:
        """Returns the name of a sample."""
        dataset, inner = self._find(index)
        return dataset.sample_name(inner)

    def mean_eye_share(self) -> float:
        """Returns the mean eye distance as a share of HR's side."""
        return self.datasets[0].mean_eye_share()

    def fingerprint(self) -> str:
        """Returns a hash of the hashes of the datasets."""
        prints = ' '.join(one.fingerprint() for one in self.datasets)
        return hashlib.sha256(prints.encode()).hexdigest()

    def protocol(self) -> dict[str, Any]:
        """Returns the facts, as plain JSON, that accompany results on this dataset."""
        parts = [one.protocol() for one in self.datasets]
        return dict(name=self.name, dataset=type(self).__name__, size=self.size,
                    kept=len(self), parts=parts)
