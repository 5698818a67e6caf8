"""Bootstrap intervals of means over images and runs, and of paired differences."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10000
#: Share of the resampled means beyond each end of an interval.
TAIL = (1 - CONFIDENCE) / 2
# Weights of all resamples are cached up to _KEPT images. For more images, _BATCH
# resamples at a time bound the memory.
_KEPT, _BATCH = 1000, 100


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval.

    Args:
        mean: Mean of the values.
        low: Lower end of the 95 % interval, NaN without an interval.
        high: Upper end, NaN without an interval.
    """

    mean: float
    low: float
    high: float


def bootstrap_mean(values: np.ndarray, seed: int = 0, widen: bool = True) -> Estimate:
    """Returns the mean over images, or over runs and images, with its interval.

    Percentile bootstrap (Efron and Tibshirani 1993, chapter 13) with ``RESAMPLES``
    resamples of the images and, if there are several, of the runs, see ``draws``. The
    interval of a single run covers other test images, not other training runs.

    Args:
        values: (N,), one per image, or (S, N), one per run and image.
        seed: Seed of the resampling.
        widen: See ``draws``.

    Returns:
        The estimate. It has no interval for fewer than two images or if a value is not
        finite, as the PSNR of equal images.

    Raises:
        ValueError: There are no values.
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
    """Returns (``RESAMPLES``,) resampled means of (S, N) values.

    Runs and images are resampled independently, with the same indices for the same S
    and N. Each mean is split into the mean of all runs and the deviation of the
    resampled runs from it, so that the deviation can be widened.

    Args:
        values: One value per run and image.
        seed: Seed of the resampling.
        widen: Scale the deviation to the spread of Student's t for S runs. False gives
            the plain bootstrap.
    """
    by_run = _resampled_means(values, seed)
    means = by_run.mean(axis=1)
    count = len(values)
    if count == 1:
        return means
    deviations = ((_weights(count, seed + 1) - 1 / count) * by_run).sum(axis=1)
    return means + (_widening(count) if widen else 1.0) * deviations


def _resampled_means(values: np.ndarray, stream: int) -> np.ndarray:
    """Returns (``RESAMPLES``, S) means of (S, N) values over resampled images."""
    count = values.shape[1]
    if count <= _KEPT:
        return _weights(count, stream) @ values.T
    rng = np.random.default_rng(stream)
    return np.concatenate([_shares(rng, count, _BATCH) @ values.T
                           for _ in range(RESAMPLES // _BATCH)])


@functools.lru_cache(maxsize=8)
def _weights(count: int, stream: int) -> np.ndarray:
    """Returns (``RESAMPLES``, count): the share of each item in each resample."""
    return _shares(np.random.default_rng(stream), count, RESAMPLES)


def _shares(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1 / count), resamples) / count


@functools.lru_cache
def _widening(count: int) -> float:
    """Returns the factor from the bootstrap's spread to that of Student's t.

    The bootstrap's variance of n values lacks the factor n / (n − 1), and few values
    need the quantile of t instead of the normal one. This is the expanded percentile
    interval of Hesterberg 2015, except that it expands the deviations instead of the
    percentiles: three runs have no percentiles that are far enough out.
    """
    quantile = stats.t.ppf(1 - TAIL, count - 1) / stats.norm.ppf(1 - TAIL)
    return float(quantile * math.sqrt(count / (count - 1)))


def paired_difference(
    values: dict[str, float], reference: dict[str, float], seed: int = 0,
) -> tuple[Estimate, tuple[float, float]]:
    """Compares two models on the same images.

    Args:
        values: {image name: value}.
        reference: The same of the other model.
        seed: Seed of the bootstrap.

    Returns:
        The mean of value − reference with its interval, and the shares of the images
        on which the value is larger and smaller.

    Raises:
        ValueError: The image names differ.
    """
    if values.keys() != reference.keys():
        other = sorted(values.keys() ^ reference.keys())
        raise ValueError(
            f'paired_difference: expected the same images for both models, found '
            f'{len(other)} images of only one of them, for example {other[0]!r}.')
    differences = np.array([values[name] - reference[name] for name in sorted(values)])
    shares = float((differences > 0).mean()), float((differences < 0).mean())
    return bootstrap_mean(differences, seed), shares
