"""CompactSR: sizes, what it starts from, and what it refuses."""

import pytest
import torch

from fdsr.models.backbones import CompactSR
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS


def small(**options):
    return CompactSR(**{**dict(channels=8, blocks=2, stage_channels=(8, 8, 4),
                               reduction=2), **options})


def test_default_size_is_what_the_docstring_says():
    from torch.utils.flop_counter import FlopCounterMode
    network = MODELS.build(dict(type='fdsr.CompactSR'))
    parameters = sum(value.numel() for value in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        sr = network(torch.rand(1, 3, 32, 32))
    assert sr.shape == (1, 3, 256, 256)
    assert round(parameters / 1e6, 2) == 1.34
    assert round(counter.get_total_flops() / 2e9, 1) == 2.5


def test_other_scales_and_sides():
    assert small()(torch.rand(2, 3, 5, 7)).shape == (2, 3, 40, 56)
    network = small(scale=4, stage_channels=(8, 4))
    assert network(torch.rand(1, 3, 6, 6)).shape == (1, 3, 24, 24)


def test_it_changes_the_bicubic_picture():
    network, lr = small(), torch.rand(2, 3, 6, 6)
    for parameter in network.to_rgb.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(network(lr), BicubicUpsample(8)(lr))


def test_autocast_keeps_the_bicubic_picture_exact():
    network, lr = small(), torch.rand(2, 3, 6, 6)
    for parameter in network.to_rgb.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.autocast('cpu', torch.bfloat16):
        sr = network(lr)
    assert torch.equal(sr, BicubicUpsample(8)(lr))


def test_every_parameter_learns():
    # with one or two units inside an attention, all may be off to begin with
    network = small(channels=16, stage_channels=(16, 16, 16), reduction=1)
    network(torch.rand(2, 3, 6, 6)).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0
               for value in network.parameters())


@pytest.mark.parametrize('options, complaint', [
    (dict(scale=6), 'power of two'),
    (dict(scale=4), 'with 2 values'),
    (dict(reduction=5), 'smallest number of channels'),
])
def test_refuses(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        small(**options)
