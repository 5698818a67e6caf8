"""Losses with heatmaps: the attention of the pixel loss, and distillation."""

import pytest
import torch

from fdsr.models.heatmaps import render_heatmaps
from fdsr.models.losses import FacialAttentionLoss, HeatmapLoss


def heatmaps_at(*points, side=32):
    return render_heatmaps(torch.tensor([points], dtype=torch.float32), side, side // 4)


def test_errors_near_landmarks_weigh_more():
    sr = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    gt = torch.full((1, 3, 32, 32), 0.4)  # the same error everywhere
    FacialAttentionLoss()(sr, gt, heatmaps_at((8.0, 8.0), (20.0, 24.0))).backward()
    gradient = sr.grad[0, 0]
    far = gradient[4, 28]
    assert gradient[8, 8] > 0.95 * gradient.max() and far > 0
    assert gradient[8, 8] > 1.5 * gradient[8, 0] > 5 * far
    assert gradient[24, 20] > 1.5 * gradient[20, 28]  # row 24 is y
    # the error itself counts as well, with its sign
    sr = torch.where(torch.arange(32) < 16, 0.2, 0.5).expand(1, 3, 32, 32)
    sr = sr.clone().requires_grad_()
    FacialAttentionLoss()(sr, gt, heatmaps_at((8.0, 8.0))).backward()
    assert sr.grad[0, 0, 8, 8] < 0 < sr.grad[0, 0, 8, 18]


def test_the_value_is_the_weighted_mean():
    sr, gt = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    heat = torch.rand(2, 5, 8, 8)
    expected = sum(
        heat[sample, :, row, column].max() * 2 * (
            sr - gt)[sample, :, row, column].abs().sum()
        for sample in range(2) for row in range(8) for column in range(8)) / sr.numel()
    torch.testing.assert_close(FacialAttentionLoss(3.0)(sr, gt, heat), 3 * expected)


def test_every_step_has_the_size_that_it_needs():
    heat = heatmaps_at((16.0, 16.0), side=64)
    for side in (8, 16, 64):
        sr, gt = torch.ones(1, 3, side, side), torch.zeros(1, 3, side, side)
        assert 0 < FacialAttentionLoss()(sr, gt, heat) < 2


def test_a_sample_without_landmarks_is_refused():
    sr = torch.rand(2, 3, 32, 32)
    heat = torch.cat([heatmaps_at((8.0, 8.0)), heatmaps_at((float('nan'), 8.0))])
    with pytest.raises(ValueError, match='a sample has no landmarks'):
        FacialAttentionLoss()(sr, sr, heat)


@pytest.mark.parametrize('shape', [(2, 5, 8, 8), (5, 8, 8)])
def test_heatmaps_of_other_samples_are_refused(shape):
    sr = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r'expected images of one shape and heatmaps'):
        FacialAttentionLoss()(sr, sr, torch.rand(shape))


def test_distillation_skips_faces_that_the_teacher_does_not_find():
    student, teacher = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    teacher[1] = 0
    expected = (student - teacher)[[0, 2]].square().mean()
    loss = HeatmapLoss()
    torch.testing.assert_close(loss(student, teacher), expected)
    assert loss(student[1:2], teacher[1:2]) == 0
