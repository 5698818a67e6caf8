"""bf16 on a CPU without bf16: the same values, at the speed of fp32."""

import pytest
import torch
from torch.nn import functional as F

from fdsr.models.autocast import bf16_autocast

HALF = 2.0 ** -8  # of bf16's relative step


@pytest.fixture(params=[True, False], ids=['instructions', 'none'])
def autocast(request, monkeypatch):
    monkeypatch.setattr('fdsr.models.autocast.has_bf16', lambda: request.param)
    return lambda: bf16_autocast('cpu')


def values(*shape):
    return torch.randn(*shape, requires_grad=True)


def convolution():
    return (lambda x, w, b: F.conv2d(x, w, b, padding=1)), [
        values(2, 8, 9, 9), values(6, 8, 3, 3), values(6)]


def transposed():
    return (lambda x, w, b: F.conv_transpose2d(x, w, bias=b, stride=2)), [
        values(2, 8, 5, 5), values(8, 6, 4, 4), values(6)]


def linear():
    return F.linear, [values(5, 32), values(7, 32), values(7)]


def rounded(tensor):
    return tensor.detach().bfloat16()


@pytest.mark.parametrize('case', [convolution, transposed, linear])
def test_it_is_the_exact_result_of_rounded_values_rounded(case, monkeypatch):
    monkeypatch.setattr('fdsr.models.autocast.has_bf16', lambda: False)
    torch.manual_seed(0)
    function, inputs = case()
    with bf16_autocast('cpu'):
        result = function(*inputs)
    assert result.dtype == torch.bfloat16
    exact_inputs = [rounded(each).double().requires_grad_() for each in inputs]
    exact = function(*exact_inputs)
    torch.testing.assert_close(result.double(), exact, rtol=2 * HALF, atol=1e-3)
    # fp32's sums hardly show
    assert (rounded(result) == rounded(exact)).float().mean() > 0.95

    gradient = torch.randn_like(exact)
    exact.backward(rounded(gradient).double())
    result.backward(rounded(gradient))
    for ours, theirs in zip(inputs, exact_inputs):
        assert ours.grad.dtype == torch.float32
        off = (ours.grad - theirs.grad).norm() / theirs.grad.norm()
        assert off < 2 * HALF


def test_it_leaves_fp32_alone_where_autocast_is_off(autocast):
    torch.manual_seed(0)
    function, inputs = convolution()
    expected = function(*inputs)
    with autocast(), torch.autocast('cpu', enabled=False):
        assert torch.equal(function(*inputs), expected)
    assert torch.equal(function(*inputs), expected)


def test_it_keeps_the_channels_last(autocast):
    layer = torch.nn.Conv2d(8, 6, 3).to(memory_format=torch.channels_last)
    picture = torch.rand(2, 8, 9, 9).to(memory_format=torch.channels_last)
    with autocast():
        result = layer(picture)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert result.dtype == torch.bfloat16
