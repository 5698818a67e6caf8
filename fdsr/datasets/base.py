"""Base of all datasets of faces: keys, seeding, skipped samples, collation."""
from __future__ import annotations

import contextlib
import hashlib
import os
import random
import warnings
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from torch.utils.data import Dataset

from fdsr.datasets.report import SkipReport
from fdsr.geometry.components import FFHQ_EYE_SHARE
from fdsr.registry import FUNCTIONS, TRANSFORMS


class SampleKey(NamedTuple):
    """Key from the sampler: sample ``index`` in ``epoch``."""

    epoch: int
    index: int


class BadSample(Exception):
    """Raised for a sample that cannot be used; the dataset skips and lists it.

    Args:
        name: Name of the sample, e.g. ``n000002/0001_01``.
        reason: Description of the problem.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # pickle passes args to __init__
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f'{self.name}: {self.reason}'


@contextlib.contextmanager
def seeded(seed: int, epoch: int, index: int) -> Iterator[None]:
    """Seeds ``random``, ``np.random`` and torch's CPU generator for one sample.

    Random numbers inside of the block depend only on the three arguments, so that a
    sample is independent of the worker and of where a run was resumed. The previous
    states are restored at the end.

    Args:
        seed: Seed of the run, >= 0.
        epoch: Pass over the data, from 0.
        index: Index of the sample in the dataset.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence((seed, epoch, index)).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    # torch.manual_seed would also seed the generators of the GPUs
    torch.default_generator.manual_seed(int(words[2]) << 32 | int(words[3]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def random_subset(total: int, count: int | None, seed: int) -> np.ndarray:
    """Returns the sorted indices, int64, of a random subset.

    Args:
        total: Number of samples.
        count: Samples to keep; all if ``None`` or more than ``total``.
        seed: Seed of the subset.

    Raises:
        ValueError: ``count`` is less than 1.
    """
    if count is None or count >= total:
        return np.arange(total)
    if count < 1:
        raise ValueError(f'subset is {count}, expected a number >= 1, or None for all '
                         'faces.')
    # numpy guarantees RandomState's stream: every version selects the same subset
    return np.sort(np.random.RandomState(seed).permutation(total)[:count])


class FaceDataset(Dataset):
    """Base class of datasets of faces with five landmarks.

    A subclass implements ``__len__``, :meth:`load` and :meth:`protocol`. Its attributes
    ``size`` and ``eye_share`` are stored in checkpoints. An item before the pipeline
    (the result for ``pipeline=[]``) is a dict with

    - ``img``: uint8 (S, S, 3), RGB, at HR size;
    - ``landmarks``: float32 (5, 2), x then y in pixels of ``img`` (the centre of the
      top left pixel is (0, 0)): image-left eye, image-right eye, nose tip, image-left
      and image-right mouth corner;
    - ``name``: str, e.g. ``n000002/0001_01``.

    A sample that raises :class:`BadSample` becomes a row of
    ``report_dir/skipped_<name>.csv`` and an item ``None``, which
    :func:`collate_samples` drops. It is never replaced by another sample.

    Args:
        pipeline: Transforms, as configs for ``fdsr.registry.TRANSFORMS`` or as
            callables from dict to dict.
        seed: Seed of the transforms, combined with epoch and index.
        test_mode: Make the transforms independent of the epoch, so that an evaluation
            can be repeated.
        max_bad_share: Raise an error when more than this share of the samples (but more
            than one, unless the share is 0) was skipped.
        report_dir: Folder of the list of skipped samples; default: a temporary folder.
        name: Name in reports and protocols; default: the name of the class.

    Raises:
        ValueError: ``max_bad_share`` is not in [0, 1] or ``seed`` is negative.
    """

    def __init__(self, pipeline: Sequence[dict | Callable] = (), seed: int = 0,
                 test_mode: bool = False, max_bad_share: float = 0.01,
                 report_dir: str | os.PathLike | None = None,
                 name: str | None = None) -> None:
        if not 0 <= max_bad_share <= 1:
            raise ValueError(f'max_bad_share is {max_bad_share}, expected a share '
                             'between 0 and 1.')
        if seed < 0:
            raise ValueError(f'seed is {seed}, expected an integer >= 0.')
        self.name = name or type(self).__name__
        self.seed = seed
        self.test_mode = test_mode
        self.max_bad_share = max_bad_share
        self.pipeline = [TRANSFORMS.build(step) if isinstance(step, dict) else step
                         for step in pipeline]
        self.report = SkipReport(report_dir, self.name)
        if is_main_process():
            self.report.start()

    def __len__(self) -> int:
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """Returns the item before the pipeline.

        Raises:
            BadSample: The sample cannot be used.
        """
        raise NotImplementedError

    def sample_name(self, index: int) -> str:
        """Returns the name of a sample; subclasses avoid loading the image."""
        return self.load(index)['name']

    def protocol(self) -> dict[str, Any]:
        """Returns the facts, as plain JSON, that accompany results on this dataset."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Returns a hash of the faces that is fast to compute."""
        names = '\n'.join(self.sample_name(index) for index in range(len(self)))
        return hashlib.sha256(names.encode()).hexdigest()

    def geometry(self) -> dict[str, Any]:
        """Returns the crop that a network trained on this dataset expects.

        Returns:
            ``size`` of HR; ``eye_share``, the mean eye distance as a share of the size;
            and ``scale`` if the pipeline creates LR. Empty if the subclass has no
            ``size``.
        """
        if not hasattr(self, 'size'):
            return {}
        facts = dict(size=self.size, eye_share=round(float(self.mean_eye_share()), 4))
        for step in self.pipeline:
            if hasattr(step, 'scale'):
                facts['scale'] = step.scale
        return facts

    def mean_eye_share(self) -> float:
        """Returns the mean eye distance as a share of HR's side."""
        return getattr(self, 'eye_share', FFHQ_EYE_SHARE)

    def pipeline_protocol(self) -> list[str]:
        """Returns the ``protocol()`` of each transform that has one."""
        return [step.protocol() for step in self.pipeline
                if hasattr(step, 'protocol')]

    @property
    def metainfo(self) -> dict[str, Any]:
        """Metadata for mmengine's evaluator."""
        return dict(name=self.name, protocol=self.protocol(),
                    pipeline=self.pipeline_protocol())

    @property
    def num_skipped(self) -> int:
        """Number of samples skipped so far, in the index and by all workers."""
        return sum(row['stage'] != 'note' for row in self.report.rows())

    def __getitem__(self, key: int | SampleKey) -> dict[str, Any] | None:
        """Returns the item after the pipeline, or ``None`` for a skipped sample.

        Args:
            key: An index (epoch 0), or epoch and index from fdsr's sampler.

        Raises:
            IndexError: The index is out of range.
            RuntimeError: More than ``max_bad_share`` of the samples were skipped.
        """
        epoch, index = key if isinstance(key, SampleKey) else (0, int(key))
        if not -len(self) <= index < len(self):
            raise IndexError(f'Sample {index} of {self.name}, which has {len(self)}.')
        index %= len(self)
        try:
            with seeded(self.seed, 0 if self.test_mode else epoch, index):
                results = self.load(index)
                return self._transformed(results) if self.pipeline else results
        except BadSample as bad:
            if not self.report.has(bad.name):
                self.check_bad_share(
                    self.report.add(bad.name, bad.reason), len(self), bad)
            return None

    def _transformed(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results['name']
        for step in self.pipeline:
            results = step(results)
            if results is None:
                raise BadSample(name, f'{type(step).__name__} returned nothing')
        return results

    def warn_of_small(self, subset: int | None, total: int) -> None:
        """Warns if fewer samples are available than requested as a subset."""
        if subset is not None and subset > total:
            warnings.warn(f'subset={subset} exceeds the {total} faces of {self.name}: '
                          'all of them are used.', stacklevel=3)

    def check_bad_share(self, bad: int, total: int,
                        last: BadSample | None = None) -> None:
        """Raises an error if too many samples are bad.

        Args:
            bad: Number of bad samples.
            total: Number of all samples.
            last: The last bad sample, named as an example.

        Raises:
            RuntimeError: The share exceeds ``max_bad_share``; the message names the
                list of the skipped samples.
        """
        # one bad sample is always allowed, because shares of few samples mean little
        allowed = max(1.0, self.max_bad_share * total) if self.max_bad_share else 0
        if bad > allowed:
            raise RuntimeError(
                f'{bad} of {total} samples of {self.name} cannot be used, more than '
                f'max_bad_share={self.max_bad_share:g} allows. Their list is '
                f'{self.report.path}' + (f' (the last one: {last})' if last else '')
                + '. Fix or remove them, or increase max_bad_share.') from last


@FUNCTIONS.register_module()
def collate_samples(batch: Sequence[dict | None]) -> dict[str, Any]:
    """Collates like mmengine's ``pseudo_collate`` and drops skipped samples.

    Args:
        batch: Items of a :class:`FaceDataset`; ``None`` for skipped samples.

    Returns:
        A dict of lists; ``{'inputs': [], 'data_samples': []}`` if all samples were
        skipped.
    """
    kept = [item for item in batch if item is not None]
    if not kept:
        return {'inputs': [], 'data_samples': []}
    return pseudo_collate(kept)
