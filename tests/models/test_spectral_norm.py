"""Spectral norm against torch's."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fdsr.models.spectral_norm import spectral_norm


def layers(memory_format, side=3):
    """Returns a convolution with torch's spectral norm and one with this project's."""
    found = []
    for normalize in (parametrizations.spectral_norm, spectral_norm):
        torch.manual_seed(0)
        layer = normalize(nn.Conv2d(6, 4, side, padding=side // 2))
        found.append(layer.to(memory_format=memory_format))
    return found


@pytest.mark.parametrize('side', [1, 3])
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last])
def test_it_equals_torchs(memory_format, side):
    theirs, ours = layers(memory_format, side)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    torch.manual_seed(1)
    for training in (True, True, False):
        batch, weights = torch.rand(2, 6, 8, 8), torch.rand(2, 4, 8, 8)
        for layer in (theirs, ours):
            layer.train(training)
            layer.zero_grad()
            (layer(batch) * weights).square().sum().backward()
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
        for (name, parameter), other in zip(
                theirs.named_parameters(), ours.parameters()):
            torch.testing.assert_close(other.grad, parameter.grad, msg=name)


def test_two_passes_before_one_backward():
    theirs, ours = layers(torch.contiguous_format)
    first, second = torch.rand(2, 2, 6, 8, 8)
    for layer in (theirs, ours):
        (layer(first).square().sum() - layer(second).sum()).backward()
    torch.testing.assert_close(
        ours.parametrizations.weight.original.grad,
        theirs.parametrizations.weight.original.grad)


def test_the_norm_is_one():
    layer = spectral_norm(nn.Conv2d(6, 4, 3))
    for _ in range(100):  # power iterations
        layer(torch.rand(1, 6, 8, 8))
    weight = layer.eval().weight.detach().flatten(1)
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1)


def test_the_norm_has_full_precision_in_autocast():
    layer = spectral_norm(nn.Conv2d(6, 4, 3)).eval()
    with torch.autocast('cpu', torch.bfloat16):
        inside = layer.weight
    assert torch.equal(inside, layer.weight)


def test_a_copy_is_independent():
    layer = spectral_norm(nn.Conv2d(6, 4, 3))
    other = copy.deepcopy(layer)
    before = layer.parametrizations.weight[0]._u.clone()
    other(torch.rand(1, 6, 8, 8))
    assert torch.equal(layer.parametrizations.weight[0]._u, before)
    assert not torch.equal(other.parametrizations.weight[0]._u, before)
