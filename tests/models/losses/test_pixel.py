"""The pixel term: each reading of the paper's norm, on images in [-1, 1]."""

import numpy as np
import pytest
import torch

from fdsr.models.losses.pixel import PixelLoss
from fdsr.registry import MODELS


def images(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((2, 3, 4, 5), dtype='f4'), rng.random((2, 3, 4, 5), dtype='f4')


def naive(kind, sr, gt):
    """Written from the definitions, sample by sample, in numpy."""
    a, b = sr.astype('f8') * 2 - 1, gt.astype('f8') * 2 - 1
    per_sample = []
    for x, y in zip(a, b):
        d = (x - y).ravel()
        per_sample.append({
            'mse': np.mean(d ** 2),
            'l2norm': np.sqrt(np.sum(d ** 2)),
            'l1': np.mean(np.abs(d)),
            'charbonnier': np.mean(np.sqrt(d ** 2 + 1e-3 ** 2))}[kind])
    return np.mean(per_sample)


@pytest.mark.parametrize('kind', ['mse', 'l2norm', 'l1', 'charbonnier'])
def test_equals_the_definition(kind):
    sr, gt = images()
    loss = PixelLoss(kind=kind, loss_weight=100.)
    found = loss(torch.from_numpy(sr), torch.from_numpy(gt))
    assert found.shape == ()
    np.testing.assert_allclose(found.item(), 100 * naive(kind, sr, gt), rtol=1e-5)


def test_the_default_agrees_with_a_known_psnr():
    """26.6 dB is an MSE of 0.0088 on [-1, 1]: 4 * 10 ** -2.66."""
    gt = torch.full((1, 3, 8, 8), 0.5)
    sr = gt + 10 ** (-26.6 / 20)
    assert abs(PixelLoss()(sr, gt).item() - 0.0088) < 5e-5


@pytest.mark.parametrize('kind', ['mse', 'l2norm', 'l1', 'charbonnier'])
def test_gradients_are_finite_where_sr_equals_gt(kind):
    gt = torch.rand(2, 3, 4, 4)
    sr = gt.clone().requires_grad_()
    PixelLoss(kind=kind)(sr, gt).backward()
    assert torch.isfinite(sr.grad).all()


def test_half_precision_is_measured_in_fp32():
    sr, gt = (torch.from_numpy(x).bfloat16() for x in images())
    assert PixelLoss()(sr, gt).dtype == torch.float32


def test_other_shapes_are_refused_not_broadcast():
    with pytest.raises(ValueError, match=r'\(1, 3, 4, 4\).*\(1, 1, 4, 4\)'):
        PixelLoss()(torch.rand(1, 3, 4, 4), torch.rand(1, 1, 4, 4))


def test_a_mistyped_kind_lists_the_kinds():
    with pytest.raises(ValueError, match='charbonnier'):
        PixelLoss(kind='l2')


def test_is_built_from_a_config():
    loss = MODELS.build(dict(type='fdsr.PixelLoss', kind='l1', loss_weight=2.))
    assert isinstance(loss, PixelLoss) and loss.loss_weight == 2.
