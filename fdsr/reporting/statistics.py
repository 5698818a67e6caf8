"""Intervals of means over images, and of paired differences."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10000
_BATCH = 100  # resamples at once: bounds the memory


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


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean over images, with a percentile bootstrap interval.

    The images are drawn anew, with replacement, ``RESAMPLES`` times (Efron and
    Tibshirani 1993, chapter 13). It tells what other images would have changed; what
    another training run would have changed, it does not.

    Args:
        values: (N,), one an image.
        seed: of the draws.

    Returns:
        The estimate; without an interval for fewer than two images or where a value is
        not finite, as the PSNR of equal images is not.

    Raises:
        ValueError: there are no values.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        raise ValueError('bootstrap_mean: there are no values.')
    mean = float(values.mean())
    if values.size < 2 or not np.isfinite(values).all():
        return Estimate(mean, float('nan'), float('nan'))
    interval = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=_BATCH, vectorized=True,
        confidence_level=CONFIDENCE, method='percentile',
        random_state=np.random.default_rng(seed)).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))


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
