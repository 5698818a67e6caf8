"""Intervals of means over images and runs, and of paired differences."""

import functools
import math
from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10000
#: Share of the draws beyond each end of an interval.
TAIL = (1 - CONFIDENCE) / 2
# Up to so many images all draws are kept for the next metric; of more images, some
# draws at once bound the memory.
_KEPT, _BATCH = 1000, 100


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; NaN where there is none.

    Args:
        mean: over the images.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def bootstrap_mean(values: np.ndarray, seed: int = 0, widen: bool = True) -> Estimate:
    """The mean over images, or over runs and images, with a bootstrap interval.

    The images are drawn anew, with replacement, ``RESAMPLES`` times (Efron and
    Tibshirani 1993, chapter 13), and so are the runs if there are several, see
    ``draws``. Of one run it tells what other images would have changed; what another
    training run would have changed, it does not.

    Args:
        values: (N,), one an image, or (S, N), one a run and image.
        seed: of the draws.
        widen: as for ``draws``.

    Returns:
        The estimate; without an interval for fewer than two images or where a value is
        not finite, as the PSNR of equal images is not.

    Raises:
        ValueError: there are no values.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if values.size == 0:
        raise ValueError('bootstrap_mean: there are no values.')
    mean = float(values.mean())
    if values.shape[1] < 2 or not np.isfinite(values).all():
        return Estimate(mean, float('nan'), float('nan'))
    low, high = np.quantile(draws(values, seed, widen), (TAIL, 1 - TAIL))
    return Estimate(mean, float(low), float(high))


def draws(values: np.ndarray, seed: int = 0, widen: bool = True) -> np.ndarray:
    """(``RESAMPLES``,) means of (S, N) values, the same draws for the same S and N.

    Runs and images are drawn independently. The mean of drawn runs is taken apart, into
    the mean of all runs and how much the drawn ones deviate from it, so that the latter
    can be widened.

    Args:
        values: one a run and image.
        seed: of the draws.
        widen: spread the runs' part as Student's t does for as many runs; False for the
            plain bootstrap.
    """
    by_run = _drawn_means(values, seed)
    means = by_run.mean(axis=1)
    count = len(values)
    if count == 1:
        return means
    deviations = ((_weights(count, seed + 1) - 1 / count) * by_run).sum(axis=1)
    return means + (_widening(count) if widen else 1.0) * deviations


def _drawn_means(values: np.ndarray, stream: int) -> np.ndarray:
    """(``RESAMPLES``, S) means of (S, N) values over drawn images."""
    count = values.shape[1]
    if count <= _KEPT:
        return _weights(count, stream) @ values.T
    rng = np.random.default_rng(stream)
    return np.concatenate([_shares(rng, count, _BATCH) @ values.T
                           for _ in range(RESAMPLES // _BATCH)])


@functools.lru_cache(maxsize=8)
def _weights(count: int, stream: int) -> np.ndarray:
    """(``RESAMPLES``, count): how often each is drawn, as shares."""
    return _shares(np.random.default_rng(stream), count, RESAMPLES)


def _shares(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1 / count), resamples) / count


def _widening(count: int) -> float:
    """From the spread of drawn means to that of Student's t.

    The variance of n values that are drawn anew lacks the factor n / (n − 1), and a
    variance of few values wants the quantile of t instead of the normal law's: the
    expanded percentile interval of Hesterberg 2015, with the deviations expanded
    instead of the percentiles, for three runs have no percentile that is far enough.
    """
    quantile = stats.t.ppf(1 - TAIL, count - 1) / stats.norm.ppf(1 - TAIL)
    return float(quantile * math.sqrt(count / (count - 1)))


def paired_difference(values: Dict[str, float], reference: Dict[str, float],
                      seed: int = 0
                      ) -> Tuple[Estimate, Tuple[float, float]]:
    """How much a model differs from another one on the same images.

    Args:
        values: {name of the image: value}.
        reference: the other model's.
        seed: of the bootstrap.

    Returns:
        The mean of value − reference with its interval, and the shares of images on
        which the value is larger, and smaller.

    Raises:
        ValueError: the images are not the same.
    """
    if values.keys() != reference.keys():
        other = sorted(values.keys() ^ reference.keys())
        raise ValueError(
            f'paired_difference: {len(other)} images were measured for one of the two '
            f'only, e.g. {other[0]!r}.')
    differences = np.array([values[name] - reference[name] for name in sorted(values)])
    shares = float((differences > 0).mean()), float((differences < 0).mean())
    return bootstrap_mean(differences, seed), shares
