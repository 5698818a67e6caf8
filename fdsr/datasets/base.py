"""What every dataset of faces shares: keys, seeding, skipping, collating."""
from __future__ import annotations

import contextlib
import hashlib
import os
import random
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
    """What the sampler asks a dataset for: sample ``index`` as seen in ``epoch``."""

    epoch: int
    index: int


class BadSample(Exception):
    """A sample that cannot be used; the dataset lists it and the run goes on.

    Args:
        name: The sample's name, e.g. ``n000002/0001_01``.
        reason: What is wrong with it, in words that help to fix it.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both in args, so that it can be pickled
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f'{self.name}: {self.reason}'


@contextlib.contextmanager
def seeded(seed: int, epoch: int, index: int) -> Iterator[None]:
    """Seed ``random``, ``np.random`` and torch's CPU generator for one sample.

    The draws inside depend on nothing but the three numbers, so a sample is the
    same whatever worker makes it and wherever a run was resumed. The generators'
    states are restored on leaving.

    Args:
        seed: The run's seed, >= 0.
        epoch: Pass over the data, from 0.
        index: The sample's index in the dataset.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence((seed, epoch, index)).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    # torch.manual_seed would touch the GPUs' generators too
    torch.default_generator.manual_seed(int(words[2]) << 32 | int(words[3]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class FaceDataset(Dataset):
    """Faces with five landmarks, and the pipeline that they go through.

    A subclass implements ``__len__``, :meth:`load` and :meth:`protocol`; its
    attributes ``size`` and ``eye_share`` are kept in checkpoints. An item
    before the pipeline (what ``pipeline=[]`` returns) is a dict with

    - ``img``: uint8 (S, S, 3), RGB, at HR size;
    - ``landmarks``: float32 (5, 2), x then y in pixels of ``img`` (the centre of
      the top left pixel is (0, 0)): left eye, right eye, nose tip, left and right
      mouth corner, where left is the image's left;
    - ``name``: str, e.g. ``n000002/0001_01``.

    A sample that raises :class:`BadSample` becomes a row of
    ``report_dir/skipped_<name>.csv`` and the item is ``None``, which
    :func:`collate_samples` drops. It is never replaced by another one.

    Args:
        pipeline: Transforms, as configs for ``fdsr.registry.TRANSFORMS`` or as
            callables from dict to dict.
        seed: Seed of the transforms' draws, together with epoch and index.
        test_mode: Draws do not depend on the epoch, so that an evaluation can be
            repeated.
        max_bad_share: The run stops when more than this share of the samples (but
            at least one, unless the share is 0) was skipped.
        report_dir: Folder for the list of skipped samples; ``None`` for one in the
            system's temporary folder.
        name: Name in reports and protocols; default: the class's name.

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
        """The item before the pipeline; raises :class:`BadSample` if it has none."""
        raise NotImplementedError

    def sample_name(self, index: int) -> str:
        """The name of a sample, good or bad; subclasses tell it without loading."""
        return self.load(index)['name']

    def protocol(self) -> dict[str, Any]:
        """Plain facts (JSON) that a number measured on this set comes with."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A hash that changes with the faces, as far as can be told in short time."""
        names = '\n'.join(self.sample_name(index) for index in range(len(self)))
        return hashlib.sha256(names.encode()).hexdigest()

    def setting(self) -> dict[str, Any]:
        """How faces have to be cut for a network that was trained on this set.

        Returns:
            ``size`` of HR; ``eye_share``, the (mean) distance of the eyes as a share of
            it; and ``scale``, if the pipeline makes LR. Empty for a subclass that does
            not tell its size.
        """
        if not hasattr(self, 'size'):
            return {}
        facts = dict(size=self.size, eye_share=round(float(self.mean_eye_share()), 4))
        for step in self.pipeline:
            if hasattr(step, 'scale'):
                facts['scale'] = step.scale
        return facts

    def mean_eye_share(self) -> float:
        """Mean distance of the eyes as a share of HR's side."""
        return getattr(self, 'eye_share', FFHQ_EYE_SHARE)

    def pipeline_protocol(self) -> list[str]:
        """One line for each transform that has something to say (``protocol()``)."""
        return [step.protocol() for step in self.pipeline
                if hasattr(step, 'protocol')]

    @property
    def metainfo(self) -> dict[str, Any]:
        """What mmengine's evaluator gets to know of the dataset."""
        return dict(name=self.name, protocol=self.protocol(),
                    pipeline=self.pipeline_protocol())

    @property
    def num_skipped(self) -> int:
        """Samples lost so far, in the index and, by any worker process, in loading."""
        return sum(row['stage'] != 'note' for row in self.report.rows())

    def __getitem__(self, key: int | SampleKey) -> dict[str, Any] | None:
        """The item after the pipeline, or ``None`` for a skipped sample.

        Args:
            key: An index (epoch 0), or epoch and index from our sampler.

        Raises:
            IndexError: The index is out of range.
            RuntimeError: More than ``max_bad_share`` of the samples were skipped.
        """
        epoch, index = key if isinstance(key, SampleKey) else (0, int(key))
        if not -len(self) <= index < len(self):
            raise IndexError(f'Sample {index} of {self.name}, which has {len(self)}.')
        index %= len(self)
        try:
            results = self.load(index)
            if not self.pipeline:  # there is nothing to draw
                return results
            with seeded(self.seed, 0 if self.test_mode else epoch, index):
                return self._transformed(results)
        except BadSample as bad:
            self._skip(bad)
            return None

    def _transformed(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results['name']
        for step in self.pipeline:
            results = step(results)
            if results is None:
                raise BadSample(name, f'{type(step).__name__} returned nothing')
        return results

    def _skip(self, bad: BadSample) -> None:
        if self.report.has(bad.name):
            return
        self.check_bad_share(self.report.add(bad.name, bad.reason), len(self), bad)

    def check_bad_share(self, bad: int, total: int,
                        last: BadSample | None = None) -> None:
        """Stop when too many samples are bad.

        Args:
            bad: How many are.
            total: Of how many.
            last: The last one, to be named as an example.

        Raises:
            RuntimeError: More than ``max_bad_share`` are; names the list's path.
        """
        # a share of a handful means little: one sample may always be bad
        allowed = max(1.0, self.max_bad_share * total) if self.max_bad_share else 0
        if bad > allowed:
            raise RuntimeError(
                f'{bad} of {total} samples of {self.name} cannot be used, more than '
                f'max_bad_share={self.max_bad_share:g} allows. They are listed with '
                f'their reasons in {self.report.path}'
                + (f' (the last one: {last})' if last else '')
                + '. Fix or remove them, or raise max_bad_share.') from last


@FUNCTIONS.register_module()
def collate_samples(batch: Sequence[dict | None]) -> dict[str, Any]:
    """Collate as mmengine's ``pseudo_collate``, leaving skipped samples out.

    Args:
        batch: Items of a :class:`FaceDataset`; ``None`` where one was skipped.

    Returns:
        A dict of lists. ``{'inputs': [], 'data_samples': []}`` when all of the
        batch was skipped.
    """
    kept = [item for item in batch if item is not None]
    if not kept:
        return {'inputs': [], 'data_samples': []}
    return pseudo_collate(kept)
