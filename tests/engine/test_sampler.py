"""One stream of samples for any number of processes, resumed anywhere."""
from itertools import islice

import numpy as np
import pytest
from torch.utils.data import DataLoader

from fdsr.datasets.base import SampleKey
from fdsr.engine.sampler import EpochSampler
from fdsr.registry import DATA_SAMPLERS


def sampler(size=23, rank=0, world=1, **kwargs):
    made = EpochSampler(range(size), seed=kwargs.pop('seed', 5), **kwargs)
    made.rank, made.world_size = rank, world
    return made


def test_an_epoch_has_every_sample_once_in_its_own_order():
    keys = list(islice(sampler(), 3 * 23))
    epochs = [[key.index for key in keys if key.epoch == epoch] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [key.epoch for key in keys] == sorted(key.epoch for key in keys)


def test_the_order_depends_on_the_seed_alone():
    first, again = (list(islice(sampler(), 50)) for _ in range(2))
    np.random.seed(1)
    assert first == again == list(islice(sampler(), 50))
    assert first != list(islice(sampler(seed=6), 50))


def test_without_shuffling():
    keys = list(islice(sampler(3, shuffle=False), 5))
    assert keys == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert all(isinstance(key, SampleKey) for key in keys)


@pytest.mark.parametrize('world, size', [(2, 23), (3, 24), (4, 3)])
def test_ranks_together_see_the_batches_of_one_process(world, size):
    batch, steps = 4, 9
    streams = [iter(sampler(size, rank, world)) for rank in range(world)]
    alone = iter(sampler(size))
    for _ in range(steps):
        together = [key for stream in streams for key in islice(stream, batch)]
        assert sorted(together) == sorted(islice(alone, batch * world))


@pytest.mark.parametrize('consumed', [0, 8, 22, 23, 24, 100])
@pytest.mark.parametrize('world', [1, 2, 3])
def test_a_resumed_run_continues(consumed, world):
    whole = list(islice(sampler(), consumed + 30 * world))[consumed:]
    for rank in range(world):
        resumed = sampler(rank=rank, world=world)
        resumed.start_at(consumed)
        assert list(islice(resumed, 30)) == whole[rank::world]


def test_batches_of_a_data_loader_follow_the_stream():
    class Keys(list):
        def __getitem__(self, key):
            return key

    loader = DataLoader(Keys(range(23)), 6, sampler=sampler(), num_workers=1,
                        collate_fn=list)
    found = [key for batch in islice(loader, 8) for key in batch]
    assert found == list(islice(sampler(), 48))


def test_building_and_bad_input():
    made = DATA_SAMPLERS.build(dict(type='fdsr.EpochSampler'),
                               default_args=dict(dataset=range(4), seed=1))
    assert len(made) == 4
    with pytest.raises(ValueError, match='is empty'):
        EpochSampler([])
    with pytest.raises(ValueError, match='found -1'):
        made.start_at(-1)
