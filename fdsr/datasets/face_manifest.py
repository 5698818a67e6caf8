"""Prepared faces, read from a manifest."""
from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from fdsr.datasets.base import BadSample, FaceDataset
from fdsr.datasets.image_storage import decode
from fdsr.datasets.manifest import MANIFEST, Manifest
from fdsr.registry import DATASETS


@DATASETS.register_module()
class FaceManifestDataset(FaceDataset):
    """Faces that ``tools/prepare_faces.py`` has cut, resized and written.

    Items are those of :class:`FaceDataset`. Nothing is listed in memory: a face is
    looked up in the index of its shard, which is mapped when it is first needed.

    Args:
        data_root: Folder that was prepared, with a manifest in each split's folder.
        split: ``train``, ``val`` or ``test``.
        size: Side that HR is expected to have; ``None`` takes the manifest's.
        subset: Keep this many faces, drawn by ``subset_seed``, in their order; all of
            them if there are fewer.
        subset_seed: Seed of the subset.
        pipeline: See :class:`FaceDataset`, as the following ones.
        seed: Seed of the transforms.
        test_mode: Transforms draw the same in every epoch.
        max_bad_share: Share of bad samples at which to stop.
        report_dir: Folder for the list of skipped samples.
        name: Name in reports and protocols; default ``faces_<split>``.

    Raises:
        FileNotFoundError: There is no manifest of the split.
        ValueError: It is malformed or empty, or its faces have another size.
    """

    def __init__(self, data_root: str | os.PathLike, split: str = 'train',
                 size: int | None = None, subset: int | None = None,
                 subset_seed: int = 0, pipeline: Sequence[dict | Callable] = (),
                 seed: int = 0, test_mode: bool = False, max_bad_share: float = 0.01,
                 report_dir: str | os.PathLike | None = None,
                 name: str | None = None) -> None:
        self.data_root, self.split = Path(data_root), split
        self.manifest = Manifest(self.data_root / split)
        self.size = self.manifest.facts['size']
        self.eye_share = self.manifest.facts['eye_share']
        self.subset, self.subset_seed = subset, subset_seed
        self._check_arguments(size)
        super().__init__(pipeline, seed, test_mode, max_bad_share, report_dir,
                         name or f'faces_{split}')
        self._rows = self._drawn()

    def _check_arguments(self, size: int | None) -> None:
        file = self.manifest.folder / MANIFEST
        if not len(self.manifest):
            raise ValueError(f'{file} has no face: prepare more identities for the '
                             f'split {self.split!r}.')
        if size is not None and size != self.size:
            raise ValueError(f'size is {size}, the faces of {file} have {self.size} '
                             'px: prepare them with --size, or change the config.')
        if self.subset is not None and self.subset < 1:
            raise ValueError(f'subset is {self.subset}, expected a number >= 1, or '
                             'None for all faces.')

    def _drawn(self) -> np.ndarray | None:
        """int64, the subset's faces; None for all of them."""
        if self.subset is None:
            return None
        total = len(self.manifest)
        if self.subset >= total:
            warnings.warn(f'subset={self.subset} faces of {self.name} were asked for, '
                          f'{total} are there: all of them are taken.', stacklevel=3)
            return None
        # RandomState's stream is frozen: the same subset with every numpy
        order = np.random.RandomState(self.subset_seed).permutation(total)
        return np.sort(order[:self.subset])

    def __len__(self) -> int:
        return len(self.manifest) if self._rows is None else len(self._rows)

    def _row(self, index: int) -> int:
        return index if self._rows is None else int(self._rows[index])

    def sample_name(self, index: int) -> str:
        """The name of a sample; where its index is lost, its shard and row."""
        try:
            return self.manifest.record(self._row(index))['name'].decode()
        except (OSError, ValueError):
            shard, row = self.manifest.locate(self._row(index))
            return f'{self.split}/{self.manifest.shards[shard].folder}#{row}'

    def all_landmarks(self) -> np.ndarray:
        """float32 (len, 5, 2) without the images; NaN where a shard is lost."""
        points = np.full((len(self), 5, 2), np.nan, np.float32)
        for index in range(len(self)):
            with contextlib.suppress(OSError, ValueError):
                points[index] = self.manifest.record(self._row(index))['landmarks']
        return points

    def load(self, index: int) -> dict[str, Any]:
        """The image, decoded, with its landmarks; see :class:`FaceDataset`."""
        try:
            record, data = self.manifest.read(self._row(index))
            img = decode(data, self.manifest.facts['encoding'], self.size)
        except (OSError, ValueError) as error:
            raise BadSample(self.sample_name(index),
                            f'cannot be read from {self.manifest.folder}: {error}'
                            ) from error
        return dict(img=img, landmarks=np.array(record['landmarks'], np.float32),
                    name=record['name'].decode())

    def protocol(self) -> dict[str, Any]:
        """Which faces these are, and how they were made; all from the manifest."""
        subset = None if self.subset is None else dict(
            asked=self.subset, seed=self.subset_seed)
        facts = {fact: value for fact, value in self.manifest.facts.items()
                 if fact not in ('split', 'count', 'format')}
        return dict(name=self.name, dataset=type(self).__name__,
                    data=self.data_root.resolve().name, split=self.split,
                    kept=len(self), subset=subset, **facts)

    def fingerprint(self) -> str:
        """A hash of the shards' indices, as the manifest lists them, and the subset."""
        rows = None if self._rows is None else self._rows.tolist()
        text = repr((self.manifest.facts, self.manifest.shards, rows))
        return hashlib.sha256(text.encode()).hexdigest()
