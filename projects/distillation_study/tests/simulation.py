"""A small study with known effects."""

import numpy as np

from projects.distillation_study.study.results import METRICS, write_curve, write_result

PLAN = dict(arms=[
    dict(name='teacher', label='Teacher', group='reference', control='control',
         teacher=None, seeds=[0]),
    dict(name='control', label='S w/o KD', group='core', control=None, teacher=None,
         seeds=[0, 1, 2]),
    dict(name='kd', label='Student (adversarial)', group='core', control='control',
         teacher='teacher', seeds=[0, 1, 2]),
    dict(name='l1', label='Student (L1)', group='core', control='control',
         teacher='teacher', seeds=[0, 1, 2]),
    dict(name='start', label='from the teacher, KD', group='from the teacher',
         control='control', teacher='teacher', seeds=[0, 1, 2]),
    dict(name='csd', label='CSD', group='single', control='control',
         teacher='teacher', seeds=[0])])
#: How far an arm is from the control to the teacher.
EFFECTS = dict(teacher=1.0, control=0.0, kd=0.5, l1=0.02, start=0.8, csd=0.3,
               bicubic=-4.0)
#: Of the teacher; no gap in ID, and the other LPIPS gets worse.
GAPS = dict(zip(METRICS, (0.4, 0.016, -0.018, 0.01, 0.0)))
BASES = dict(zip(METRICS, (24.2, 0.75, 0.135, 0.18, 0.95)))
SEEDS = dict(teacher=[0], csd=[0], bicubic=[0])


def write_study(folder, arms=tuple(EFFECTS), images=40, points=80):
    """Writes the results of arms whose differences are their effects."""
    for arm in arms:
        for seed in SEEDS.get(arm, [0, 1, 2]):
            write_result(folder, arm, seed, _rows(arm, seed, images))
            if arm != 'bicubic':
                write_curve(folder, arm, seed, _curve(arm, seed, points))


def _rows(arm, seed, images):
    rng = np.random.default_rng([len(arm), ord(arm[0]), seed])
    shared = np.random.default_rng(0)
    own = rng.normal(0, 0.03)
    rows = []
    for which in ('val', 'test'):
        for number in range(images):
            luck = shared.normal(0, 4) + rng.normal(0, 0.05)
            rows.append(dict(list=which, name=f'n{number:06d}/0001_01', **{
                metric: BASES[metric] + (EFFECTS[arm] + own + luck) * (
                    GAPS[metric] or 0.0001) - (0 if GAPS[metric] else
                                               0.0001 * EFFECTS[arm])
                for metric in METRICS}))
    return rows


def _curve(arm, seed, points):
    rng = np.random.default_rng([seed, ord(arm[0]), 3])
    rows = []
    for number in range(1, points + 1):
        row = dict(iteration=25 * number, loss_pixel=3 / number)
        if arm in ('kd', 'start', 'csd'):
            row['d_accuracy_adversarial'] = min(
                1.0, 0.5 + number / points * EFFECTS[arm] + rng.normal(0, 0.05))
        rows.append(row)
        if number % (points // 4) == 0:
            done = number / points
            rows[-1]['val/PSNR'] = 20 + 4 * done ** 0.3 + 0.4 * EFFECTS[
                arm] + rng.normal(0, 0.05)
            rows[-1]['val/LPIPS'] = 0.3 - 0.15 * done ** 0.3 - 0.018 * EFFECTS[
                arm] + rng.normal(0, 0.002)
    return rows
