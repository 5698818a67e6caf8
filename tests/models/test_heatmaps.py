"""Heatmaps: rendering and reading points."""

import torch

from fdsr.models.heatmaps import attention_map, points_from_heatmaps, render_heatmaps


def test_the_maximum_is_at_the_point():
    # the centre of pixel (5, 2) of heatmaps of 8 px for an image of 32 px
    point = (torch.tensor([5.0, 2.0]) + 0.5) * 4 - 0.5
    heat = render_heatmaps(point.view(1, 1, 2), 32, 8)[0, 0]
    assert heat.argmax() == 2 * 8 + 5 and heat.max() == 1
    assert heat[2, 6] == torch.exp(torch.tensor(-1 / (2 * 1.5**2)))


def test_points_survive_the_round_trip():
    points = 10 + 108 * torch.rand(3, 20, 2, generator=torch.Generator().manual_seed(0))
    found = points_from_heatmaps(render_heatmaps(points, 128, 32), 128)
    assert (found - points).abs().max() < 0.01


def test_a_maximum_at_the_border_and_a_flat_one_are_found():
    heat = torch.zeros(1, 3, 8, 8)
    heat[0, 0, 0, 7] = heat[0, 1, 3, 4] = heat[0, 1, 3, 5] = 1.0
    heat[0, 2, 2, 2], heat[0, 2] = 1.0, heat[0, 2] - 5.0  # negative
    points = points_from_heatmaps(heat, 8)[0]
    assert points[0].tolist() == [7, 0] and points[1].tolist() == [4.5, 3]
    assert points[2].isnan().all()


def test_a_point_that_was_not_found_is_empty():
    points = torch.tensor([[[float('nan'), 3.0], [8.0, 8.0]]])
    heat = render_heatmaps(points, 16, 16)
    assert not heat[0, 0].any() and heat[0, 1].any()
    found = points_from_heatmaps(heat, 16)
    assert found[0, 0].isnan().all()
    torch.testing.assert_close(found[0, 1], points[0, 1])


def test_attention_is_limited():
    heat = torch.tensor([-1.0, 0.3, 2.0]).view(1, 1, 1, 3).repeat(1, 2, 3, 1)
    heat[:, 1] = 0.5
    assert attention_map(heat)[0, 0, 0].tolist() == [0.5, 0.5, 1.0]
