"""The order in which a run sees its samples."""
from __future__ import annotations

from typing import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from fdsr.datasets.base import SampleKey
from fdsr.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """An endless stream of samples, the same for any number of processes.

    Position ``p`` of the stream (p = 0, 1, 2, ...) is sample ``p % N`` of epoch
    ``p // N``'s permutation, which depends on seed and epoch alone. Of ``world``
    processes, rank ``r`` takes the positions ``start + r``, ``start + r + world``, ...
    With batches of ``b`` its k-th batch lies in the positions ``start + k * b * world``
    to ``start + (k + 1) * b * world - 1``, each of which exactly one rank takes: the
    ranks' k-th batches together are the k-th batch of one process with batches of
    ``b * world``. (Contiguous shares would do as well, but only if the sampler knew
    ``b``.) Epochs follow one another without a gap, within a batch if need be, so no
    sample is dropped or seen twice in an epoch.

    The next position is a function of how many samples were consumed, so a run resumes
    by :meth:`start_at`, even with another number of processes. The sampler never ends:
    it is for loops that count iterations.

    Args:
        dataset: Anything with a length.
        shuffle: Permute each epoch; otherwise 0, 1, 2, ...
        seed: Seed of the permutations, the same on all ranks; ``None`` draws one.

    Raises:
        ValueError: The data set is empty.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True,
                 seed: int | None = None) -> None:
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(f'{type(dataset).__name__} is empty: an endless sampler '
                             'has nothing to draw from.')
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def start_at(self, consumed: int) -> None:
        """Continue after so many samples; takes effect with the next ``iter()``.

        Args:
            consumed: Samples used so far by all ranks together, that is iterations x
                batch size x number of ranks (x accumulation, if an iteration there
                counts optimiser steps).

        Raises:
            ValueError: ``consumed`` is negative.
        """
        if consumed < 0:
            raise ValueError(f'consumed is {consumed}, expected a number >= 0.')
        self.start = consumed

    def order(self, epoch: int) -> np.ndarray:
        """int64 (N,), the samples of an epoch in their order."""
        if not self.shuffle:
            return np.arange(self.size)
        # RandomState's stream is frozen: the same order with every numpy
        words = np.random.SeedSequence((self.seed, epoch)).generate_state(4)
        return np.random.RandomState(words).permutation(self.size)

    def __iter__(self) -> Iterator[SampleKey]:
        position = self.start + self.rank
        while True:
            epoch, first = divmod(position, self.size)
            order = self.order(epoch)
            for index in range(first, self.size, self.world_size):
                yield SampleKey(epoch, int(order[index]))
                position += self.world_size

    def __len__(self) -> int:
        """Samples in an epoch, of all ranks together."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the epoch follows from the position."""
