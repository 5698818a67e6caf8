"""Near-duplicates against the naive search, and memory that stays bounded."""
import numpy as np
import pytest

from fdsr.preparation.faces import duplicates
from fdsr.preparation.faces.duplicates import distances, earliest_alike


def naive(hashes, distance):
    """The definition, pair by pair."""
    found = []
    for place, value in enumerate(hashes.tolist()):
        alike = [earlier for earlier, other in enumerate(hashes[:place].tolist())
                 if (value ^ other).bit_count() <= distance]
        found.append(min(alike, default=-1))
    return np.array(found)


def clustered(count, seed=0):
    """Hashes of which many are copies of others with a few bits turned."""
    draws = np.random.RandomState(seed)
    hashes = draws.randint(0, 2**63, count).astype(np.uint64)
    for place in range(count // 3, count):
        value = int(hashes[draws.randint(place)])
        for bit in draws.randint(0, 64, draws.randint(0, 8)):
            value ^= 1 << int(bit)
        hashes[place] = value
    return hashes


@pytest.mark.parametrize('distance', [0, 1, 3, 6, 10])
@pytest.mark.parametrize('most', [10**6, 50])
def test_it_finds_what_the_naive_search_finds(distance, most):
    hashes = clustered(600)
    expected = naive(hashes, distance)
    assert (expected >= 0).any() and (expected < 0).any()
    assert np.array_equal(earliest_alike(hashes, distance, most=most), expected)


def test_pairs_compared_in_small_steps_are_the_same(monkeypatch):
    hashes = clustered(400, seed=1)
    monkeypatch.setattr(duplicates, '_MOST_PAIRS', 7)
    assert np.array_equal(earliest_alike(hashes, 4), naive(hashes, 4))


def test_a_copy_of_a_copy_points_to_the_first():
    # the second is close to the first, the third equals the second
    hashes = np.array([0, 1, 1, 2**40], np.uint64)
    assert earliest_alike(hashes, 1).tolist() == [-1, 0, 0, 0]
    assert earliest_alike(hashes, 0).tolist() == [-1, -1, 1, -1]


def test_a_chain_keeps_its_first():
    hashes = np.array([0b0, 0b11, 0b1111], np.uint64)
    assert earliest_alike(hashes, 2).tolist() == [-1, 0, 1]


def test_many_equal_ones_take_no_square_of_time():
    hashes = np.zeros(300_000, np.uint64)
    found = earliest_alike(hashes, 3)
    assert found[0] == -1 and (found[1:] == 0).all()


def test_none_at_all():
    assert earliest_alike(np.empty(0, np.uint64), 3).tolist() == []


def test_distances():
    first = np.array([0, 2**64 - 1, 5], np.uint64)
    assert distances(first, np.array([0, 0, 6], np.uint64)).tolist() == [0, 64, 2]


def test_it_works_on_files(tmp_path):
    hashes = clustered(200)
    np.save(tmp_path / 'hashes.npy', hashes)
    mapped = np.load(tmp_path / 'hashes.npy', mmap_mode='r')
    found = np.lib.format.open_memmap(tmp_path / 'found.npy', 'w+', np.int64, (200,))
    earliest_alike(mapped, 3, found, most=64)
    assert np.array_equal(np.load(tmp_path / 'found.npy'), naive(hashes, 3))


def test_only_what_is_confirmed_counts():
    hashes, exact = np.array([0, 1, 0, 0], np.uint64), np.array([7, 8, 9, 9], np.uint64)

    def confirm(first, second):
        return np.maximum(first, second) == 1

    found = earliest_alike(hashes, 1, exact=exact, confirm=confirm)
    assert found.tolist() == [-1, 0, -1, 2]
