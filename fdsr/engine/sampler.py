"""Samplers that define the order of a run's samples."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from fdsr.datasets.base import SampleKey
from fdsr.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """An endless stream of samples, the same for any number of processes.

    Position ``p`` of the stream (p = 0, 1, 2, ...) is sample ``p % N`` of the
    permutation of epoch ``p // N``, which depends on the seed and the epoch only. Of
    ``world`` processes, rank ``r`` takes the positions ``start + r``,
    ``start + r + world``, ... The k-th batches of all ranks together are therefore the
    k-th batch of a single process with ``world`` times the batch size. Epochs follow
    one another without a gap, also within a batch, so no sample is dropped or seen
    twice in an epoch.

    The position depends only on the number of consumed samples, so a run can resume
    with :meth:`start_at`, even with another number of processes. The sampler never
    ends; use it in loops that count iterations.

    Args:
        dataset: anything with a length.
        shuffle: permute each epoch; otherwise 0, 1, 2, ...
        seed: seed of the permutations, the same on all ranks; ``None`` draws one.
        shards: shuffle the order of the dataset's shards, and the samples within this
            many successive shards; ``None`` shuffles all samples. With remote shards,
            a small local cache then suffices.

    Raises:
        ValueError: the dataset is empty, or has no shards.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True,
                 seed: int | None = None, shards: int | None = None) -> None:
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(f'{type(dataset).__name__} is empty: EpochSampler needs '
                             'at least one sample.')
        self.shuffle, self.shards = shuffle, shards
        if shards is not None:
            if shards < 1 or not hasattr(dataset, 'shard_ends'):
                raise ValueError(
                    f'EpochSampler: shards={shards} needs at least 1, and a dataset '
                    f'with shards such as FaceManifestDataset; found '
                    f'{type(dataset).__name__}.')
            self._ends = dataset.shard_ends()
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def start_at(self, consumed: int) -> None:
        """Sets the position of the next ``iter()``.

        Args:
            consumed: number of samples used so far by all ranks together: iterations ×
                batch size × number of ranks.

        Raises:
            ValueError: ``consumed`` is negative.
        """
        if consumed < 0:
            raise ValueError(f'Expected consumed >= 0, found {consumed}.')
        self.start = consumed

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order of an epoch's samples, int64 (N,)."""
        if not self.shuffle:
            return np.arange(self.size)
        # numpy guarantees RandomState's stream for all versions
        words = np.random.SeedSequence((self.seed, epoch)).generate_state(4)
        random = np.random.RandomState(words)
        if self.shards is None:
            return random.permutation(self.size)
        numbers, ends = random.permutation(len(self._ends)), self._ends
        starts, orders = np.append(0, ends[:-1]), []
        for first in range(0, len(numbers), self.shards):
            chosen = numbers[first:first + self.shards]
            orders.append(random.permutation(np.concatenate(
                [np.arange(starts[one], ends[one]) for one in chosen])))
        return np.concatenate(orders)

    def __iter__(self) -> Iterator[SampleKey]:
        position = self.start + self.rank
        while True:
            epoch, first = divmod(position, self.size)
            order = self.order(epoch)
            for index in range(first, self.size, self.world_size):
                yield SampleKey(epoch, int(order[index]))
                position += self.world_size

    def __len__(self) -> int:
        """Returns the number of samples in an epoch, of all ranks together."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: the epoch follows from the position."""
