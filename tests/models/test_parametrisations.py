"""Frozen networks without the cost of spectral norm."""

import torch
from torch.nn.utils import parametrize

from fdsr.models.parametrisations import bake_parametrisations
from fdsr.registry import MODELS
from tests import toy


def test_a_baked_network_computes_the_same():
    network = MODELS.build(toy.STUDENT).eval()
    lr = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        expected = network(lr)
        baked = bake_parametrisations(network)
        assert torch.equal(baked(lr), expected)
    assert not any(parametrize.is_parametrized(module) for module in baked.modules())
    assert not any(parameter.requires_grad for parameter in baked.parameters())
