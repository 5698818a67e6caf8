"""Dataset of prepared faces."""
from __future__ import annotations

import contextlib
import hashlib
import os
from typing import Any

import numpy as np

from fdsr.datasets.base import BadSample, FaceDataset, random_subset
from fdsr.datasets.image_storage import decode
from fdsr.datasets.manifest import MANIFEST, Manifest, check_image
from fdsr.registry import DATASETS
from fdsr.utils import storage


@DATASETS.register_module()
class FaceManifestDataset(FaceDataset):
    """Faces written by ``tools/prepare_faces.py``.

    Items are those of :class:`FaceDataset`. A face is looked up in the index of its
    shard, which is memory-mapped on first use.

    Args:
        data_root: Folder with a manifest in the folder of each split, or its URL, see
            ``fdsr.utils.storage``.
        split: ``train``, ``val`` or ``test``.
        size: Expected side of HR; ``None`` accepts any.
        subset: Keep this many random faces, in their order; all if there are fewer.
        subset_seed: Seed of the subset.
        name: Name in reports and protocols; default: ``faces_<split>``.
        **options: Further arguments of :class:`FaceDataset`.

    Raises:
        FileNotFoundError: The split has no manifest.
        ValueError: The manifest is malformed or empty, or its faces have another size.
        StorageError: A remote file cannot be read, after several attempts. A sample is
            not skipped for it.
    """

    def __init__(self, data_root: str | os.PathLike, split: str = 'train',
                 size: int | None = None, subset: int | None = None,
                 subset_seed: int = 0, name: str | None = None, **options: Any) -> None:
        self.data_root, self.split = storage.as_path(data_root), split
        self.manifest = Manifest(self.data_root / split)
        self.size = self.manifest.facts['size']
        self.eye_share = self.manifest.facts['eye_share']
        self.subset, self.subset_seed = subset, subset_seed
        file, total = self.manifest.folder / MANIFEST, len(self.manifest)
        if not total:
            raise ValueError(f'{file} has no face: prepare more identities for the '
                             f'split {split!r}.')
        if size is not None and size != self.size:
            raise ValueError(f'size is {size}, the faces of {file} have {self.size} '
                             'px: prepare them with --size, or change the config.')
        super().__init__(name=name or f'faces_{split}', **options)
        self.warn_of_small(subset, total)
        # without a subset nothing grows with the number of faces
        self._rows = (None if subset is None or subset >= total else
                      random_subset(total, subset, subset_seed))

    def __len__(self) -> int:
        return len(self.manifest) if self._rows is None else len(self._rows)

    def _row(self, index: int) -> int:
        return index if self._rows is None else int(self._rows[index])

    def sample_name(self, index: int) -> str:
        """Returns the name of a sample, or shard and row if the index is missing."""
        try:
            return self.manifest.record(self._row(index))['name'].decode()
        except (OSError, ValueError):
            shard, row = self.manifest.locate(self._row(index))
            return f'{self.split}/{self.manifest.shards[shard].folder}#{row}'

    def shard_ends(self) -> np.ndarray | None:
        """Returns the end of each shard in the order of the samples, int64."""
        if self._rows is None:
            return self.manifest.ends
        return np.searchsorted(self._rows, self.manifest.ends)

    def all_landmarks(self) -> np.ndarray:
        """Returns the landmarks, float32 (len, 5, 2); NaN if a shard is missing."""
        points = np.full((len(self), 5, 2), np.nan, np.float32)
        for index in range(len(self)):
            with contextlib.suppress(OSError, ValueError):
                points[index] = self.manifest.record(self._row(index))['landmarks']
        return points

    def load(self, index: int) -> dict[str, Any]:
        """Loads an image and its landmarks, see :class:`FaceDataset`."""
        try:
            record, data = self.manifest.read(self._row(index))
            img = decode(data, self.manifest.facts['encoding'], self.size)
            check_image(record, data)
        except (OSError, ValueError) as error:
            raise BadSample(self.sample_name(index),
                            f'cannot be read from {self.manifest.folder}: {error}'
                            ) from error
        return dict(img=img, landmarks=np.array(record['landmarks'], np.float32),
                    name=record['name'].decode())

    def protocol(self) -> dict[str, Any]:
        """Returns the facts of the manifest and the subset."""
        subset = None if self.subset is None else dict(
            asked=self.subset, seed=self.subset_seed)
        facts = {fact: value for fact, value in self.manifest.facts.items()
                 if fact not in ('split', 'count', 'format')}
        return dict(name=self.name, dataset=type(self).__name__,
                    data=self.data_root.resolve().name, split=self.split,
                    kept=len(self), subset=subset, **facts)

    def fingerprint(self) -> str:
        """Returns a hash of manifest (with the digests of all shards) and subset."""
        rows = None if self._rows is None else self._rows.tolist()
        text = repr((self.manifest.facts, self.manifest.shards, rows))
        return hashlib.sha256(text.encode()).hexdigest()
