"""Search for similar 64-bit hashes in bounded memory."""
from __future__ import annotations

import itertools
from typing import Callable, Iterator

import numpy as np

#: Hashes sorted at a time, with about 60 bytes each.
MOST_AT_ONCE = 4_000_000
#: Pairs compared at a time.
_MOST_PAIRS = 1_000_000
_NONE = np.iinfo(np.int64).max
_ONES = np.array([bin(value).count('1') for value in range(1 << 16)], np.uint8)


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the Hamming distances, uint8 (N,), of two uint64 (N,)."""
    words = (first ^ second).view(np.uint16).reshape(-1, 4)
    return _ONES[words].sum(axis=1, dtype=np.uint8)


def earliest_alike(hashes: np.ndarray, distance: int, found: np.ndarray | None = None,
                   most: int = MOST_AT_ONCE, exact: np.ndarray | None = None,
                   confirm: Callable[[np.ndarray, np.ndarray], np.ndarray]
                   | None = None) -> np.ndarray:
    """Finds the earliest similar hash of each hash.

    The 64 bits are divided into ``distance + 2`` blocks. Two hashes that differ in at
    most ``distance`` bits are equal in at least two blocks, so only hashes that are
    equal in a pair of blocks are compared. (One of ``distance + 1`` blocks would
    suffice, but would have too few bits to be selective.) Hashes are sorted by the bits
    of the pair in chunks, so that memory does not grow with their number.

    Args:
        hashes: uint64 (N,), may be memory-mapped.
        distance: Maximum Hamming distance, 0 to 16.
        found: Output, int64 (N,), may be memory-mapped.
        most: Hashes sorted at a time (more if more are equal in the bits).
        exact: uint64 (N,), equal for identical items; default: the hashes. Only one of
            several identical items is compared.
        confirm: Function of the positions (M,) and (M,) of pairs within the distance
            that returns a mask (M,) of duplicates. Default: all of them.

    Returns:
        int64 (N,), the earliest position within the distance, or -1. In a chain, each
        pair counts, so that only the first item remains.
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
    """Propagates results to identical items and replaces the missing ones by -1."""
    for start in range(0, len(found), most):
        chunk = found[start:start + most]
        places = np.flatnonzero(chunk != _NONE)
        places = places[exact[chunk[places]] == exact[start + places]]
        chunk[places] = np.minimum(chunk[places], found[chunk[places]])
    for start in range(0, len(found), most):
        chunk = found[start:start + most]
        chunk[chunk == _NONE] = -1


def _key(hashes: np.ndarray, pair: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Returns the bits of two blocks as one number."""
    key = np.zeros(len(hashes), np.uint64)
    for low, high in pair:
        width = np.uint64(high - low)
        mask = np.uint64((1 << (high - low)) - 1)
        key = (key << width) | ((hashes >> np.uint64(low)) & mask)
    return key


def _parts(hashes: np.ndarray, pair: tuple[tuple[int, int], ...], most: int
           ) -> Iterator[np.ndarray]:
    """Yields positions in chunks; hashes with the same key are in the same chunk."""
    parts = np.uint64(-(-len(hashes) // most) or 1)
    if parts == 1:
        yield np.arange(len(hashes))
        return
    for rest in range(int(parts)):
        yield np.concatenate([
            start + np.flatnonzero(
                # multiplied, because keys are not uniformly distributed
                (_key(np.asarray(hashes[start:start + most]), pair)
                 * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) % parts == rest)
            for start in range(0, len(hashes), most)])


class _Search:
    """Comparison of hashes that are equal in some bits."""

    def __init__(self, hashes: np.ndarray, exact: np.ndarray, distance: int,
                 found: np.ndarray, confirm: Callable) -> None:
        self.hashes, self.exact, self.distance = hashes, exact, distance
        self.found, self.confirm = found, confirm

    def among(self, positions: np.ndarray, pair: tuple[tuple[int, int], ...]) -> None:
        """Compares the hashes at these positions that are equal in a pair of blocks."""
        values, exact = self.hashes[positions], self.exact[positions]
        order = np.lexsort((positions, exact))
        values, exact, positions = values[order], exact[order], positions[order]
        firsts = np.ones(len(values), bool)
        firsts[1:] = exact[1:] != exact[:-1]
        # identical items are assigned at once, which avoids quadratic time
        leaders = np.maximum.accumulate(np.where(firsts, np.arange(len(values)), 0))
        np.minimum.at(self.found, positions[~firsts], positions[leaders[~firsts]])
        values, positions = values[firsts], positions[firsts]
        keys = _key(values, pair)
        order = np.argsort(keys, kind='stable')
        self._compare(values[order], positions[order], keys[order])

    def _compare(self, values: np.ndarray, positions: np.ndarray, keys: np.ndarray
                 ) -> None:
        """Compares each hash with the following ones of the same key."""
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
                similar = self.confirm(first, second)
                first, second = first[similar], second[similar]
                np.minimum.at(self.found, np.maximum(first, second),
                              np.minimum(first, second))
