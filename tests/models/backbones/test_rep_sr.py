"""RepSR: the fused form equals the branches computed one after the other."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.interchange.publishing.publish import publish
from fdsr.models.backbones import RepSR
from fdsr.models.backbones.rep_sr import RepConv
from fdsr.models.contract import add_traits
from fdsr.models.files import CheckpointMismatch
from fdsr.models.files.checkpoints import (
    copy_matching,
    copy_trained_weights,
    save_backbone,
)

SMALL = dict(channels=8, blocks=2, stage_channels=(8, 8), stage_blocks=(1, 1),
             context_channels=8, context_blocks=1)
#: Size: arguments, and the limits of parameters and of MACs from 32 to 256 px.
SIZES = {
    'tiny': (dict(channels=40, blocks=4, stage_channels=(24, 8), stage_blocks=(1, 1),
                  context_channels=56, context_blocks=1), 0.3e6, 0.35e9),
    'small': (dict(), 2e6, 1.25e9),
    'base': (dict(blocks=22, stage_blocks=(3, 2)), 4e6, 3e9),
}


def trained(network):
    """Gives every branch a value that is not zero."""
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network.eval()


def branches(conv, feature):
    """The three branches of a RepConv, each with torch's own convolutions."""
    chain = F.conv2d(feature, conv.expand[:, :, None, None])
    chain = F.conv2d(chain, conv.middle, padding=1)
    return (F.conv2d(feature, conv.weight, conv.bias, padding=1)
            + F.conv2d(feature, conv.point[:, :, None, None])
            + F.conv2d(chain, conv.reduce[:, :, None, None]))


def test_a_convolution_equals_the_sum_of_its_branches_also_at_the_border():
    torch.manual_seed(0)
    conv = trained(RepConv(5, 7).double())
    feature = torch.randn(2, 5, 6, 9, dtype=torch.float64)
    expected = branches(conv, feature)
    torch.testing.assert_close(conv(feature), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(conv.fuse()(feature), expected, rtol=0, atol=1e-12)


def test_every_branch_is_trained():
    torch.manual_seed(0)
    conv = trained(RepConv(3, 4))
    conv(torch.randn(2, 3, 5, 5)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in conv.parameters())


def test_the_fused_network_agrees_with_the_trained_one(monkeypatch):
    torch.manual_seed(0)
    network = trained(RepSR(**SMALL))
    fused = copy.deepcopy(network).fuse()
    assert not any(isinstance(module, RepConv) for module in fused.modules())
    monkeypatch.setattr(RepConv, 'forward', branches)
    lr = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(fused(lr), network(lr), rtol=0, atol=1e-5)


def test_the_fused_network_has_the_keys_of_one_built_fused():
    built = RepSR(**SMALL, fused=True)
    fused = RepSR(**SMALL).fuse()
    assert ({key: value.shape for key, value in built.state_dict().items()}
            == {key: value.shape for key, value in fused.state_dict().items()})


def test_it_learns_the_degradation_from_one_image_alone():
    """The gates of an image do not depend on the others of its batch."""
    torch.manual_seed(0)
    network = trained(RepSR(**SMALL))
    lr = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(lr)[1:2], network(lr[1:2]))


def test_a_new_network_starts_near_bicubic():
    torch.manual_seed(0)
    network, lr = RepSR(**SMALL), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert (network(lr) - network.upsample(lr)).abs().mean() < 0.2


@pytest.mark.parametrize('size', SIZES)
def test_the_sizes_keep_their_limits(size):
    arguments, most_parameters, most_macs = SIZES[size]
    network = RepSR(**arguments, fused=True).eval()
    assert sum(value.numel() for value in network.parameters()) <= most_parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    assert 0 < counter.get_total_flops() / 2 <= most_macs


@pytest.mark.parametrize('arguments, message', [
    (dict(scale=6), 'power of two'),
    (dict(scale=4), 'stage_channels with 1 values'),
    (dict(stage_blocks=(1,)), 'stage_blocks with 2 values'),
])
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RepSR(**arguments)


@pytest.mark.parametrize('fused', [False, True])
def test_a_deeper_network_starts_with_the_function_of_a_shallow_one(fused, tmp_path):
    torch.manual_seed(0)
    shallow = trained(RepSR(**SMALL))
    if fused:
        shallow.fuse()
    settings = dict(type='fdsr.RepSR', **SMALL, fused=fused)
    save_backbone(add_traits(shallow), settings, tmp_path / 'shallow.pth')
    deep = RepSR(**{**SMALL, 'blocks': 4, 'stage_blocks': (1, 2)})
    copy_trained_weights(tmp_path / 'shallow.pth', deep)
    lr = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(deep(lr), shallow(lr), rtol=0, atol=1e-5)
    before = {name: value.clone() for name, value in deep.named_parameters()}
    optimizer = torch.optim.Adam(deep.parameters(), 1e-3)
    for _ in range(3):  # zeros move first; only then others have a gradient
        optimizer.zero_grad()
        deep(lr).square().sum().backward()
        optimizer.step()
    assert [name for name, value in deep.named_parameters()
            if torch.equal(value, before[name])] == []
    with pytest.raises(CheckpointMismatch, match='body'):
        copy_trained_weights(
            tmp_path / 'shallow.pth', RepSR(**{**SMALL, 'channels': 4}))
    with pytest.raises(CheckpointMismatch, match='to_gates'):
        copy_trained_weights(
            tmp_path / 'shallow.pth', RepSR(**{**SMALL, 'blocks': 1}))


@pytest.mark.parametrize('fused, missing', [
    (False, 'head.weight'), (False, 'head.point'), (False, 'body.0.second.weight'),
    (True, 'stages.0.blocks.0.second.bias'), (True, 'context.to_gates.bias')])
def test_a_value_that_is_missing_is_not_made_up(fused, missing):
    network = RepSR(**SMALL, fused=fused)
    values = network.state_dict()
    del values[missing]
    deep = RepSR(**{**SMALL, 'blocks': 3})
    with pytest.raises(CheckpointMismatch, match=missing.replace('.', r'\.')):
        copy_matching('file', values, deep)


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    config = dict(type='fdsr.RepSR', **SMALL)
    network = add_traits(trained(RepSR(**SMALL)), dict(size=64, eye_share=0.25))
    save_backbone(network, config, tmp_path / 'trained.pth', licence='CC0-1.0')
    return tmp_path / 'trained.pth'


def test_publishing_stores_the_fused_form(file, tmp_path):
    published = publish(file, tmp_path / 'out', 'small', half=False).path
    network, trained_one = load_backbone(published), load_backbone(file)
    assert network.fused and isinstance(network.head, nn.Conv2d)
    assert isinstance(trained_one.head, RepConv)
    assert published.stat().st_size < file.stat().st_size / 2
    lr = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(lr), trained_one(lr), rtol=0, atol=1e-5)


def test_restoring_fuses_a_training_checkpoint(file):
    resolver = FaceSuperResolver(file, device='cpu')
    assert resolver.network.fused
