"""RCAN and SRFBN: parameters, the papers' structure, what each call depends on."""

import collections

import pytest
import torch
from torch.nn import functional as F

from fdsr.models.backbones import RCAN, SRFBN
from tests.conftest import SHARED

SMALL = {RCAN: dict(channels=8, groups=2, blocks=2, reduction=2),
         SRFBN: dict(channels=8, steps=3, groups=3)}


def small(kind, scale=2, seed=0):
    torch.manual_seed(seed)
    return kind(scale, **SMALL[kind])


@pytest.mark.parametrize('kind, scale, millions', [
    (RCAN, 8, 15.740), (RCAN, 4, 15.592), (SRFBN, 8, 7.891), (SRFBN, 4, 3.631)])
def test_parameter_counts_are_the_papers(kind, scale, millions):
    count = sum(parameter.numel() for parameter in kind(scale).parameters())
    assert round(count / 1e6, 3) == millions


@pytest.mark.parametrize('kind, scale', [
    (RCAN, 8), (RCAN, 4), (SRFBN, 8), (SRFBN, 4)])
def test_shapes_are_those_of_the_authors_checkpoints(kind, scale):
    path = SHARED / f'design/official_keys/{kind.__name__.lower()}_x{scale}.tsv'
    if not path.is_file():
        pytest.skip(f'{path} is not there')
    official = [line.split('\t') for line in path.read_text().splitlines()]
    wanted = collections.Counter(
        tuple(int(side) for side in shape.split(',') if side)
        for key, shape in official if not key.startswith(('sub_mean', 'add_mean')))
    found = collections.Counter(
        tuple(value.shape) for value in kind(scale).state_dict().values())
    assert found == wanted


@pytest.mark.parametrize('scale', [2, 4, 8])
@pytest.mark.parametrize('kind', [RCAN, SRFBN])
def test_sizes_and_gradients(kind, scale):
    net = small(kind, scale)
    sr = net(torch.rand(2, 3, 5, 7))
    assert sr.shape == (2, 3, 5 * scale, 7 * scale)
    sr.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0
               for parameter in net.parameters())


@pytest.mark.parametrize('kind', [RCAN, SRFBN])
def test_batch_size_may_change_between_calls(kind):
    net = small(kind).eval()
    lr = torch.rand(3, 3, 6, 6)
    with torch.no_grad():
        together = net(lr)
        for sample in range(3):
            torch.testing.assert_close(net(lr[sample:sample + 1])[0], together[sample])
        torch.testing.assert_close(net(lr), together, rtol=0, atol=0)


def test_a_silent_rcan_gives_the_mean_colour():
    net = small(RCAN)
    torch.nn.init.zeros_(net.to_rgb.weight)
    torch.nn.init.zeros_(net.to_rgb.bias)
    expected = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None].expand(3, 8, 8)
    torch.testing.assert_close(net(torch.rand(1, 3, 4, 4))[0], expected)


def test_a_silent_srfbn_is_bilinear_at_each_step():
    net = small(SRFBN, scale=4)
    torch.nn.init.zeros_(net.to_rgb.weight)
    torch.nn.init.zeros_(net.to_rgb.bias)
    lr = torch.rand(2, 3, 5, 5)
    expected = F.interpolate(lr, scale_factor=4, mode='bilinear', align_corners=False)
    steps = net.forward_steps(lr)
    assert len(steps) == 3
    for picture in steps:
        torch.testing.assert_close(picture, expected, rtol=0, atol=1e-6)


def test_each_step_of_srfbn_feeds_the_next():
    net, lr = small(SRFBN), torch.rand(1, 3, 5, 5)
    steps = net(lr, all_steps=True)
    assert len(steps) == net.steps and torch.equal(net(lr), steps[-1])
    assert not any(torch.equal(*pair) for pair in zip(steps, steps[1:]))
    # fewer steps of the same weights end at an earlier image
    for number in range(1, net.steps):
        shorter = SRFBN(2, **{**SMALL[SRFBN], 'steps': number})
        shorter.load_state_dict(net.state_dict())
        assert torch.equal(shorter(lr), steps[number - 1])


def test_attention_weighs_whole_channels():
    """Shifting the attention's bias to −∞ turns a block off, to +∞ fully on."""
    block = small(RCAN).body[0].blocks[0]
    feature = torch.rand(2, 8, 5, 5)
    torch.nn.init.constant_(block.attention[2].bias, -1e4)
    torch.testing.assert_close(block(feature), feature)
    torch.nn.init.constant_(block.attention[2].bias, 1e4)
    torch.testing.assert_close(block(feature), feature + block.body(feature))


@pytest.mark.parametrize('build, message', [
    (lambda: RCAN(scale=3), 'power of two, found 3'),
    (lambda: RCAN(channels=8, reduction=16), 'reduction'),
    (lambda: SRFBN(scale=1), 'at least 2'),
    (lambda: SRFBN(steps=0), 'steps')])
def test_impossible_sizes_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_unrolled_generators_return_lists():
    from torch import nn

    from fdsr.models.backbones import UnrolledGenerator
    from fdsr.registry import MODELS

    @MODELS.register_module(force=True)
    class PicturesAndHeatmaps(nn.Module):
        def forward(self, lr):
            return [lr, 2 * lr], 'heatmaps'

    lr = torch.rand(1, 3, 4, 4)
    net = UnrolledGenerator(dict(type='PicturesAndHeatmaps'))
    assert torch.equal(net(lr), 2 * lr) and len(net.forward_steps(lr)) == 2
    net.network.forward = lambda lr: lr
    with pytest.raises(TypeError, match='PicturesAndHeatmaps: expected a list'):
        net(lr)
