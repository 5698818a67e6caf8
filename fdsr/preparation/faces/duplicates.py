"""Which of many 64-bit hashes come close to an earlier one, in bounded memory."""
from __future__ import annotations

import itertools
from typing import Callable, Iterator

import numpy as np

#: Hashes that are sorted at a time; each takes about 60 bytes then.
MOST_AT_ONCE = 4_000_000
#: Pairs that are compared at a time.
_MOST_PAIRS = 1_000_000
_NONE = np.iinfo(np.int64).max
_ONES = np.array([bin(value).count('1') for value in range(1 << 16)], np.uint8)


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """uint8 (N,), Hamming distances of uint64 (N,) and uint64 (N,)."""
    words = (first ^ second).view(np.uint16).reshape(-1, 4)
    return _ONES[words].sum(axis=1, dtype=np.uint8)


def earliest_alike(
    hashes: np.ndarray, distance: int, found: np.ndarray | None = None,
    most: int = MOST_AT_ONCE, exact: np.ndarray | None = None,
    confirm: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """For each hash, the earliest one that is within a distance of it.

    The 64 bits are cut into ``distance + 2`` blocks. Two hashes that differ in at most
    ``distance`` bits agree in at least two whole blocks, so for each pair of blocks
    only hashes that agree there are compared. (One block of ``distance + 1`` would do,
    but so few bits throw too many together.) Hashes are sorted by the pair's bits, a
    range of them at a time, so memory does not grow with their number.

    Args:
        hashes: uint64 (N,), may be mapped from a file.
        distance: Bits that may differ, 0 to 16.
        found: int64 (N,) to write to, may be mapped from a file.
        most: Hashes that are sorted at a time (more, if so many agree in the bits).
        exact: uint64 (N,), equal for what is certainly the same; default: the hashes.
            Only one of those is compared with others.
        confirm: From the positions of pairs within the distance, (M,) and (M,), to
            bool (M,): which are alike. Default: all of them.

    Returns:
        int64 (N,), the earliest position within the distance, or -1 where no earlier
        one is. All pairs count, also those with a hash that is itself too close to
        another: of a chain, the first stays.
    """
    found = np.empty(len(hashes), np.int64) if found is None else found
    found[:] = _NONE
    edges = np.linspace(0, 64, distance + 3).round().astype(int)
    blocks = list(itertools.pairwise(edges.tolist()))
    search = _Search(hashes, hashes if exact is None else exact, distance, found,
                     confirm or (lambda first, second: np.ones(len(first), bool)))
    for pair in itertools.combinations(blocks, 2):
        for positions in _parts(hashes, pair, most):
            search.among(positions, pair)
    _finish(search.exact, found, most)
    return found


def _finish(exact: np.ndarray, found: np.ndarray, most: int) -> None:
    """What a hash is close to, all that equal it are; then write -1 for none."""
    for start in range(0, len(found), most):
        part = found[start:start + most]
        places = np.flatnonzero(part != _NONE)
        equal = exact[part[places]] == exact[start + places]
        places = places[equal]
        part[places] = np.minimum(part[places], found[part[places]])
    for start in range(0, len(found), most):
        part = found[start:start + most]
        part[part == _NONE] = -1


def _key(hashes: np.ndarray, pair: tuple[tuple[int, int], ...]) -> np.ndarray:
    """The bits of two blocks, as one number."""
    key = np.zeros(len(hashes), np.uint64)
    for low, high in pair:
        width = np.uint64(high - low)
        mask = np.uint64((1 << (high - low)) - 1)
        key = (key << width) | ((hashes >> np.uint64(low)) & mask)
    return key


def _parts(hashes: np.ndarray, pair: tuple[tuple[int, int], ...], most: int
           ) -> Iterator[np.ndarray]:
    """Positions, in order, of hashes whose keys leave the same rest.

    All that agree in the key are in one part.
    """
    parts = np.uint64(-(-len(hashes) // most) or 1)
    if parts == 1:
        yield np.arange(len(hashes))
        return
    for rest in range(int(parts)):
        yield np.concatenate([
            start + np.flatnonzero(
                _mixed(_key(np.asarray(hashes[start:start + most]), pair)) % parts
                == rest)
            for start in range(0, len(hashes), most)])


def _mixed(key: np.ndarray) -> np.ndarray:
    """Spread the keys, of which some ranges are much fuller than others."""
    with np.errstate(over='ignore'):
        return (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)


class _Search:
    """Compares hashes that agree in some bits, and keeps the earliest alike."""

    def __init__(self, hashes: np.ndarray, exact: np.ndarray, distance: int,
                 found: np.ndarray, confirm: Callable) -> None:
        self.hashes, self.exact, self.distance = hashes, exact, distance
        self.found, self.confirm = found, confirm

    def among(self, positions: np.ndarray, pair: tuple[tuple[int, int], ...]) -> None:
        """Compare the hashes at these positions that agree in a pair of blocks."""
        values, exact = self.hashes[positions], self.exact[positions]
        order = np.lexsort((positions, exact))
        values, exact, positions = values[order], exact[order], positions[order]
        firsts = np.ones(len(values), bool)
        firsts[1:] = exact[1:] != exact[:-1]
        # settled at once: a million black images are no million squared
        leaders = np.maximum.accumulate(np.where(firsts, np.arange(len(values)), 0))
        _lower(self.found, positions[~firsts], positions[leaders[~firsts]])
        values, positions = values[firsts], positions[firsts]
        keys = _key(values, pair)
        order = np.argsort(keys, kind='stable')
        self._compare(values[order], positions[order], keys[order])

    def _compare(self, values: np.ndarray, positions: np.ndarray, keys: np.ndarray
                 ) -> None:
        """Compare each with those behind it that have its key, step after step."""
        for start in range(0, len(keys), _MOST_PAIRS):
            left = np.arange(start, min(start + _MOST_PAIRS, len(keys)))
            for step in itertools.count(1):
                left = left[left + step < len(keys)]
                left = left[keys[left + step] == keys[left]]
                if not len(left):
                    break
                right = left + step
                near = distances(values[left], values[right]) <= self.distance
                first, second = positions[left[near]], positions[right[near]]
                alike = self.confirm(first, second)
                first, second = first[alike], second[alike]
                _lower(self.found, np.maximum(first, second),
                       np.minimum(first, second))


def _lower(found: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
    """``found[places] = min(found[places], values)``, places given twice included."""
    np.minimum.at(found, places, values)
