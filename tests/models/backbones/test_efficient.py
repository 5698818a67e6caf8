"""SPAN, SAFMN and SRVGG: parameters as published, and formulas written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fdsr.models.backbones import SAFMN, SPAN, SRVGG
from fdsr.models.backbones.safmn import SpatialModulation
from fdsr.models.backbones.span import SPAB

SMALL = {SPAN: dict(channels=8, blocks=2), SAFMN: dict(channels=8, blocks=2),
         SRVGG: dict(channels=8, convs=2)}
every = pytest.mark.parametrize('kind', list(SMALL))


@pytest.mark.parametrize('network, thousands', [
    (lambda: SAFMN(2), 228), (lambda: SAFMN(3), 233), (lambda: SAFMN(4), 240),
    (lambda: SRVGG(4, 64, 16), 621), (lambda: SRVGG(4, 64, 32), 1213),
    (lambda: SPAN(2, 52, fused=True), 481), (lambda: SPAN(4, 52, fused=True), 498)])
def test_parameter_counts_are_the_published_ones(network, thousands):
    count = sum(parameter.numel() for parameter in network().parameters())
    assert round(count / 1e3) == thousands


def test_the_attention_of_span():
    torch.manual_seed(0)
    block, x = SPAB(6, fused=True), torch.randn(2, 6, 5, 7)
    one, two, three = block.convs
    h = three(F.silu(two(F.silu(one(x)))))
    expected = (h + x) * (1 / (1 + torch.exp(-h)) - 0.5)
    found, first = block(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(first, one(x))


def test_the_modulation_of_safmn():
    torch.manual_seed(0)
    module, x = SpatialModulation(8), torch.randn(1, 8, 16, 16)
    levels = []
    for level, conv in enumerate(module.filters):
        step, group = 2**level, x[:, 2 * level:2 * level + 2]
        # the maximum of each square, found without pooling
        small = group.reshape(1, 2, 16 // step, step, 16 // step, step).amax((3, 5))
        levels.append(conv(small).repeat_interleave(step, 2).repeat_interleave(step, 3))
    mixed = module.merge(torch.cat(levels, 1))
    torch.testing.assert_close(module(x), nn.GELU()(mixed) * x)


def test_srvgg_adds_the_nearest_neighbour():
    network = SRVGG(4, 8, 1)
    nn.init.zeros_(network.to_rgb.weight)
    nn.init.zeros_(network.to_rgb.bias)
    lr = torch.rand(1, 3, 5, 6)
    torch.testing.assert_close(
        network(lr), lr.repeat_interleave(4, 2).repeat_interleave(4, 3))


@every
def test_any_size_and_every_gradient(kind):
    torch.manual_seed(0)
    network = kind(2, **SMALL[kind])
    sr = network(torch.rand(2, 3, 9, 11))
    assert sr.shape == (2, 3, 18, 22)
    sr.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_span_fuses():
    torch.manual_seed(0)
    network = SPAN(2, **SMALL[SPAN]).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    lr = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        before = network(lr)
        torch.testing.assert_close(network.fuse()(lr), before, rtol=0, atol=1e-5)
    assert {type(module) for module in network.modules()
            if getattr(module, 'weight', None) is not None} == {nn.Conv2d}


@every
def test_wrong_arguments_are_named(kind):
    with pytest.raises(ValueError, match=kind.__name__):
        kind(0)
