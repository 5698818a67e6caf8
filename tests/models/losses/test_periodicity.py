"""PeriodicityLoss: which textures it penalizes, and by how much."""

import numpy as np
import pytest
import torch

from fdsr.models.losses import PeriodicityLoss

SIDE = 96


def noise(seed, side=SIDE):
    return torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed))


def repeated(period, seed=0):
    """Noise that repeats with a period, about the grey 0.5."""
    return 0.45 + 0.1 * noise(seed, period).repeat(1, 3, SIDE // period, SIDE // period)


def test_texture_with_the_period_is_penalized_and_other_texture_is_not():
    gt = (0.45 + 0.1 * noise(1)).repeat(1, 3, 1, 1)
    loss = PeriodicityLoss(period=8)
    assert loss(repeated(8), gt) > 0.9              # correlation 1 at each lag
    assert loss(repeated(12), gt) < 0.25            # another period
    assert loss((0.45 + 0.1 * noise(2)).repeat(1, 3, 1, 1), gt) < 0.05
    assert loss(torch.full_like(gt, 0.5), gt) == 0  # no texture at all
    assert loss(repeated(8), repeated(8)) == 0      # GT has the period, too
    invisible = 0.5 + (repeated(8) - 0.5) * 0.01
    assert loss(invisible, gt) < 0.1


def test_it_is_the_excess_of_the_correlation():
    sr, gt = repeated(8) + 0.05 * noise(3), 0.5 + 0.1 * noise(4).repeat(1, 3, 1, 1)

    def correlations(image, transposed):
        grey = image.mean(1)[0].double().numpy()
        grey = grey.T if transposed else grey
        padded = np.pad(grey, 4, mode='reflect')
        local = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
        texture = grey - local.mean((2, 3))
        found = []
        for top in range(0, SIDE - 31, 16):
            for left in range(0, SIDE - 8 - 31, 16):
                one = texture[top:top + 32, left + 8:left + 40]
                other = texture[top:top + 32, left:left + 32]
                energy = ((one**2 + other**2) / 2).mean()
                found.append((one * other).mean() / (energy + (1 / 255)**2))
        return np.array(found)

    expected = np.mean([
        np.maximum(correlations(sr, side) - np.maximum(correlations(gt, side), 0), 0)
        for side in (False, True)])
    loss = PeriodicityLoss(period=8, multiples=[1], loss_weight=3.0)
    assert loss(sr, gt).item() == pytest.approx(3 * expected, rel=1e-4)


def test_a_step_against_the_gradient_removes_the_period():
    gt = (0.45 + 0.1 * noise(1)).repeat(1, 3, 1, 1)
    sr, loss = repeated(8).requires_grad_(), PeriodicityLoss(period=8)
    before = loss(sr, gt)
    before.backward()
    with torch.no_grad():
        after = loss(sr - 0.02 * sr.grad / sr.grad.abs().max(), gt)
    assert after < before - 0.01


def test_images_smaller_than_a_window():
    sr = repeated(8)[..., :32, :32].requires_grad_()
    PeriodicityLoss(period=8)(sr, torch.full_like(sr, 0.5)).backward()
    assert sr.grad.abs().sum() > 0


@pytest.mark.parametrize('arguments', [
    dict(period=0), dict(multiples=[]), dict(period=16, window=32)])
def test_bad_lags(arguments):
    with pytest.raises(ValueError, match='expected lags from 1 to below window'):
        PeriodicityLoss(**arguments)
