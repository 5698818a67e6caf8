"""Bootstrap intervals and paired differences against theory."""

import math
import warnings

import numpy as np
import pytest

from fdsr.reporting.bootstrap import bootstrap_mean, draws, paired_difference


def test_the_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(3).normal(5.0, 2.0, 2000)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = bootstrap_mean(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert found.high - found.mean == pytest.approx(half, rel=0.05)
    assert found.mean - found.low == pytest.approx(half, rel=0.05)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        found = bootstrap_mean(rng.exponential(1.0, 60))
        covered += found.low <= 1.0 <= found.high
    assert 85 <= covered <= 100


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(1).normal(size=50)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values) != bootstrap_mean(values, seed=1)


def test_many_images_are_drawn_in_parts(monkeypatch):
    values = np.random.default_rng(1).normal(size=(3, 50))
    expected = draws(values)
    monkeypatch.setattr('fdsr.reporting.bootstrap._KEPT', 10)
    assert draws(values) == pytest.approx(expected)


@pytest.mark.parametrize('values', [[3.0], [1.0, math.inf]])
def test_without_an_interval(values):
    found = bootstrap_mean(values)
    assert found.mean == np.mean(values)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match='no values'):
        bootstrap_mean([])


def test_pairs_are_compared_image_by_image():
    """A constant difference has an interval of width zero."""
    reference = {f'i{n}': value for n, value in enumerate(
        np.random.default_rng(2).normal(20, 5, 30))}
    better = {name: reference[name] + 0.25 for name in reversed(reference)}
    difference, (larger, smaller) = paired_difference(better, reference)
    assert difference.mean == pytest.approx(0.25)
    assert difference.high - difference.low < 1e-9
    assert (larger, smaller) == (1.0, 0.0)
    assert paired_difference(reference, reference)[1] == (0.0, 0.0)


def test_other_images_cannot_be_compared():
    with pytest.raises(ValueError, match="2 images .* 'a'"):
        paired_difference({'a': 1.0, 'b': 2.0}, {'b': 2.0, 'c': 3.0})
