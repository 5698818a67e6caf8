"""The feature discriminator's shape and norms."""

import pytest
import torch
from torch import nn

from fdsr.models.discriminators import FeatureDiscriminator


def test_default_is_the_papers_simple_cnn():
    net = FeatureDiscriminator(64)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 4
    assert net(torch.randn(2, 64, 64, 64)).shape == (2, 1, 4, 4)
    scores = net(10 * torch.randn(4, 64, 32, 32))
    assert scores.min() < 0 or scores.max() > 1, 'LSGAN takes raw scores'


@pytest.mark.parametrize('norm', ['batch', 'instance', 'none', 'spectral'])
@pytest.mark.parametrize('depth', [1, 3])
def test_norms_and_depths(norm, depth):
    net = FeatureDiscriminator(8, base_channels=4, depth=depth, norm=norm)
    scores = net(torch.randn(2, 8, 32, 32))
    assert scores.shape == (2, 1, 32 // 2**depth, 32 // 2**depth)
    scores.mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    per_convolution = sum('original' in name for name, _ in net.named_parameters())
    assert per_convolution == (depth + 1 if norm == 'spectral' else 0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match='Unknown norm'):
        FeatureDiscriminator(8, norm='layer')
    with pytest.raises(ValueError, match='depth'):
        FeatureDiscriminator(8, depth=0)


def test_the_progressive_discriminator_scores_each_sample_alone():
    from fdsr.models.discriminators import ProgressiveDiscriminator
    net = ProgressiveDiscriminator(scale=8, channels=16)
    for step in (1, 2, 3):
        net.set_progress(step, 0.5)
        images = torch.rand(3, 3, 4 * 2**step, 4 * 2**step)
        scores = net(images)
        assert scores.shape == (3, )
        torch.testing.assert_close(net(images[1:2])[0], scores[1])


def test_the_progressive_discriminator_fades_in():
    from fdsr.models.discriminators import ProgressiveDiscriminator
    net, image = ProgressiveDiscriminator(scale=4, channels=8), torch.rand(2, 3, 16, 16)
    net.set_progress(1)
    small = net(torch.nn.functional.avg_pool2d(image, 2))
    net.set_progress(2, 0.0)
    torch.testing.assert_close(net(image), small)
    net.set_progress(2, 1.0)
    assert not torch.allclose(net(image), small)
    with pytest.raises(ValueError, match='step: expected an integer from 1 to 2'):
        net.set_progress(3)


@pytest.mark.parametrize('options, message', [
    (dict(scale=6, channels=12), 'power of two, found 6'),
    (dict(scale=8, channels=20), 'multiple of scale=8, found 20')])
def test_impossible_steps_are_refused(options, message):
    from fdsr.models.discriminators import ProgressiveDiscriminator
    with pytest.raises(ValueError, match=message):
        ProgressiveDiscriminator(**options)
