"""Intervals over seeds and images, against theory and simulations."""

import math

import numpy as np
import pytest

from fdsr.reporting import bootstrap
from projects.distillation_study.study.statistics import (
    Samples,
    arm_mean,
    difference,
    gap_recovery,
)

SEEDS = (0, 1, 2)
T2 = 4.303  # the quantile of Student's t with two degrees of freedom


def simulated(rng, seed=0.0, image=0.0, rest=0.0, seeds=3, images=200, mean=0.0):
    """Normal values with known standard deviations of their components."""
    values = (mean + rng.normal(0, seed, (seeds, 1)) + rng.normal(0, image, images)
              + rng.normal(0, rest, (seeds, images)))
    return Samples(tuple(range(seeds)), values)


def half(estimate):
    return (estimate.high - estimate.low) / 2


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


# The mean of an arm

@pytest.mark.parametrize('seed, image, rest', [
    (0.5, 0.02, 0.02), (0.02, 3.0, 0.02), (0.3, 3.0, 1.0)])
def test_the_interval_is_that_of_the_normal_law_for_many_seeds(seed, image, rest):
    arm = simulated(np.random.default_rng(1), seed, image, rest, 40, 300, 24.0)
    by_seed = arm.values.mean(axis=1)
    by_image = arm.values.mean(axis=0)
    expected = 1.96 * math.sqrt(by_seed.var(ddof=1) / 40 + by_image.var(ddof=1) / 300)
    found = arm_mean(arm)
    assert found.mean == pytest.approx(arm.values.mean())
    assert half(found) == pytest.approx(expected, rel=0.08)
    assert half(arm_mean(arm, widen=False)) == pytest.approx(expected, rel=0.08)


def test_the_seeds_widen_the_interval_though_images_hardly_vary():
    means = np.array([[24.0], [24.1], [24.4]])
    images = np.random.default_rng(2).normal(0, 1e-4, 200)
    found = arm_mean(Samples(SEEDS, means + images))
    student = T2 * means.std(ddof=1) / math.sqrt(3)
    assert half(found) == pytest.approx(student, rel=0.15)
    agreeing = arm_mean(Samples(SEEDS, np.full((3, 1), 24.1) + images))
    assert half(agreeing) < 1e-4
    closer = arm_mean(Samples(SEEDS, 24.1 + (means - 24.1) / 2 + images))
    assert half(closer) == pytest.approx(half(found) / 2, rel=1e-3)


def test_one_seed_has_the_interval_of_the_images():
    arm = simulated(np.random.default_rng(3), image=2.0, seeds=1, images=1000)
    expected = 1.96 * arm.values.std() / math.sqrt(1000)
    assert half(arm_mean(arm)) == pytest.approx(expected, rel=0.05)


def test_one_image_has_no_interval():
    found = arm_mean(Samples(SEEDS, [[1.0], [2.0], [6.0]]))
    assert found.mean == 3.0 and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize('seeds, values, match', [
    (SEEDS, [[1.0, 2.0]], r'3 seeds, found \(1, 2\)'), ((), [], 'found'),
    ((0,), [[1.0, math.nan]], 'not finite')])
def test_broken_samples(seeds, values, match):
    with pytest.raises(ValueError, match=match):
        Samples(seeds, values)


# Coverage

@pytest.mark.parametrize('seed, image, rest', [
    (0.1, 0.02, 0.01), (0.1, 1.0, 0.2), (0.02, 0.3, 0.05)])
def test_the_interval_of_three_seeds_covers_as_often_as_it_says(seed, image, rest):
    rng = np.random.default_rng(4)
    covered = sum(covers(arm_mean(simulated(rng, seed, image, rest, images=60)), 0)
                  for _ in range(200))
    assert 182 <= covered <= 200


def test_the_plain_bootstrap_of_three_seeds_does_not():
    rng = np.random.default_rng(5)
    covered = sum(
        covers(arm_mean(simulated(rng, 0.1, 0.02, images=60), widen=False), 0)
        for _ in range(200))
    assert 130 <= covered <= 172


# Differences

def paired_arms(rng, effect, shared=1.0, own=0.03):
    """Arms with runs of equal seeds that share most of their luck."""
    common = simulated(rng, shared, 3.0, 0.5).values
    control = common + rng.normal(0, own, (3, 1))
    return Samples(SEEDS, common + effect), Samples(SEEDS, control)


def test_a_constant_difference_is_certain():
    control = simulated(np.random.default_rng(6), 0.5, 3.0, 1.0)
    found = difference(Samples(SEEDS, control.values + 0.25), control)
    assert found.estimate.mean == pytest.approx(0.25)
    assert half(found.estimate) < 1e-9
    assert found.per_seed == pytest.approx((0.25, 0.25, 0.25))
    assert found.seeds == SEEDS and found.agreeing == 3 and found.excludes_zero
    nothing = difference(control, control)
    assert nothing.estimate.low == nothing.estimate.high == 0
    assert not nothing.excludes_zero


def test_pairing_takes_out_what_runs_of_a_seed_share():
    arm, control = paired_arms(np.random.default_rng(7), 0.3)
    paired = difference(arm, control)
    other = Samples((1, 2, 0), control.values)
    unpaired = difference(arm, other)
    assert paired.estimate.mean == pytest.approx(unpaired.estimate.mean)
    assert half(paired.estimate) < half(unpaired.estimate) / 5
    assert paired.per_seed == pytest.approx(
        (arm.values - control.values).mean(axis=1).tolist())


def test_differences_cover_as_often_as_the_interval_says():
    rng = np.random.default_rng(8)
    covered = sum(covers(difference(*paired_arms(rng, 0.3)).estimate, 0.3)
                  for _ in range(200))
    assert 182 <= covered <= 200


def test_seeds_are_paired_by_number_and_the_others_left_out():
    control = Samples((0, 1, 2), [[1.0, 2.0], [10.0, 20.0], [5.0, 6.0]])
    arm = Samples((2, 7, 0), [[5.5, 6.5], [90.0, 90.0], [1.25, 2.25]])
    found = difference(arm, control)
    assert found.seeds == (0, 2) and found.per_seed == (0.25, 0.5)


def test_one_run_is_paired_with_that_of_its_seed():
    control = Samples((0, 1, 2), [[1.0, 2.0], [10.0, 20.0], [5.0, 6.0]])
    found = difference(Samples((1,), [[11.0, 21.0]]), control)
    assert found.seeds == (1,) and found.per_seed == (1.0,)
    control = Samples((0, 1, 2), [[9.0, 19.0], [10.0, 20.0], [9.5, 19.5]])
    share = gap_recovery(Samples((1,), [[11.0, 21.0]]), control,
                         Samples((0,), [[13.5, 23.5]]))
    assert share.mean == pytest.approx(1 / 3.5)  # of the gap to that run of it


def test_a_teacher_stays_as_it_is():
    control = simulated(np.random.default_rng(9), 0.2, 2.0, 0.1)
    teacher = Samples((0,), control.values.mean(axis=0, keepdims=True) + 0.5)
    found = difference(teacher, control, paired=False)
    expected = 0.5 + control.values.mean() - control.values.mean(axis=1)
    assert found.per_seed == pytest.approx(expected.tolist())
    assert half(found.estimate) == pytest.approx(
        T2 * control.values.mean(axis=1).std(ddof=1) / math.sqrt(3), rel=0.15)
    assert found.seeds == SEEDS
    with pytest.raises(ValueError, match=r'one run, found the seeds \[0, 1, 2\]'):
        difference(control, control, paired=False)


def test_the_signs_that_disagree_are_counted():
    found = difference(Samples(SEEDS, [[1.0, 1.0], [2.0, 2.0], [-0.5, -0.5]]),
                       Samples(SEEDS, np.zeros((3, 2))))
    assert found.agreeing == 2 and not found.excludes_zero


def test_what_cannot_be_paired():
    values = np.zeros((2, 4))
    with pytest.raises(ValueError, match=r'seeds \[0, 1\] and \[2, 3\]'):
        difference(Samples((0, 1), values), Samples((2, 3), values))
    with pytest.raises(ValueError, match=r'\[4, 5\] images'):
        difference(Samples((0, 1), values), Samples((0, 1), np.zeros((2, 5))))


# Gap recovery

def gap_arms(share, gap, seed=0.02, images=200):
    rng = np.random.default_rng(10)
    control = simulated(rng, seed, 3.0, 0.05, images=images, mean=24.0)
    teacher = Samples((0,), control.values[:1] + gap + rng.normal(0, 0.1, images))
    student = control.values + share * gap + rng.normal(0, 0.005, (3, 1))
    return Samples(SEEDS, student), control, teacher


@pytest.mark.parametrize('gap', [0.5, -0.5])
def test_the_share_of_the_gap_is_found(gap):
    found = gap_recovery(*gap_arms(0.8, gap))
    assert found.mean == pytest.approx(0.8, abs=0.05)
    assert covers(found, 0.8) and 0.01 < half(found) < 0.2


def test_the_share_is_exact_where_everything_is_constant():
    control = simulated(np.random.default_rng(11), 0.0, 3.0)
    student = Samples(SEEDS, control.values + 0.3)
    teacher = Samples((0,), control.values[:1] + 0.4)
    found = gap_recovery(student, control, teacher)
    assert (found.mean, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert gap_recovery(control, control, teacher).high == pytest.approx(0.0)
    assert gap_recovery(teacher, control, teacher).low == pytest.approx(1.0)


def test_no_share_where_there_is_no_gap():
    student, control, teacher = gap_arms(0.8, 0.02, seed=0.1)
    assert not difference(teacher, control, paired=False).excludes_zero
    assert gap_recovery(student, control, teacher) is None
    assert gap_recovery(control, control, Samples((0,), control.values[:1])) is None


def test_a_gap_that_is_barely_there_has_a_wide_interval():
    """Draws whose gap is nearly nothing, or has the wrong sign, widen both ends."""
    wide = gap_recovery(*gap_arms(0.8, 0.15, seed=0.04))
    narrow = gap_recovery(*gap_arms(0.8, 1.5, seed=0.04))
    assert half(wide) > 5 * half(narrow)
    assert wide.low <= wide.mean <= wide.high


def test_a_gap_that_the_students_own_seeds_do_not_show_has_infinite_ends():
    gaps = np.array([[0.3], [0.02], *[[0.3 + 0.01 * n] for n in range(6)]])
    teacher = np.random.default_rng(13).normal(24, 1, (1, 60))
    control = Samples(tuple(range(8)), teacher - gaps)
    student = Samples((0, 1), control.values[:2] + 0.1)
    found = gap_recovery(student, control, Samples((0,), teacher))
    assert found.mean == pytest.approx(0.1 / 0.16)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_the_share_covers_as_often_as_the_interval_says():
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(200):
        images = rng.normal(24, 3, 60)
        control = images + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.05, (3, 60))
        student = control + 0.3 + rng.normal(0, 0.03, (3, 1))
        teacher = images + 0.6 + rng.normal(0, 0.1, (1, 60))
        covered += covers(gap_recovery(
            Samples(SEEDS, student), Samples(SEEDS, control), Samples((0,), teacher)),
            0.5)
    assert 180 <= covered <= 200


# As a whole

def test_the_same_values_give_the_same_interval():
    arm = simulated(np.random.default_rng(13), 0.1, 1.0, 0.1)
    assert arm_mean(arm) == arm_mean(Samples(SEEDS, arm.values.copy()))


def test_comparisons_of_equal_size_share_their_draws(monkeypatch):
    calls, shares = [], bootstrap._shares
    monkeypatch.setattr(bootstrap, '_shares',
                        lambda *args: calls.append(args[1:]) or shares(*args))
    bootstrap._weights.cache_clear()
    arms = gap_arms(0.8, 0.5)
    gap_recovery(*arms)
    assert sorted(calls) == [(3, bootstrap.RESAMPLES), (200, bootstrap.RESAMPLES)]
    gap_recovery(*arms)
    assert len(calls) == 2
