"""The discriminator's input, penalty and update."""

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn

from fdsr.models.discriminators import FeatureDiscriminator
from fdsr.models.losses import AdversarialFeatureLoss
from fdsr.models.restorers.per_tap import PerTap, discriminator_step
from tests import warm

NORMS = ['batch', 'instance', 'none', 'spectral']


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def discriminators(*names, norm='none', seed=0):
    torch.manual_seed(seed)
    return PerTap({name: FeatureDiscriminator(4, base_channels=8, depth=2, norm=norm)
                   for name in names})


def adam(module, lr=2e-3):
    return OptimWrapper(torch.optim.Adam(module.parameters(), lr, (0.5, 0.999)))


def sgd(module, lr=0.1):
    return OptimWrapper(torch.optim.SGD(module.parameters(), lr))


def batch(seed, shift=0.5, size=4):
    """Returns fake and real features whose first channels differ by a shift."""
    offset = torch.tensor([shift, 0, 0, 0]).view(1, 4, 1, 1)
    return (random(size, 4, 16, 16, seed=2 * seed) - offset,
            random(size, 4, 16, 16, seed=2 * seed + 1) + offset)


def step(loss, discriminator, wrapper, features):
    student, target = features
    return discriminator_step(
        nn.ModuleDict(dict(adversarial=loss)), discriminator,
        dict(adversarial=student), dict(adversarial=target), wrapper)


def values(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


# The input of D

def test_normalize_gives_every_channel_mean_0_and_deviation_1():
    feature = 5 * random(3, 4, 8, 8) + 2
    seen = AdversarialFeatureLoss(normalize='channel').seen(feature)
    mean = feature.mean((2, 3), keepdim=True)
    variance = feature.var((2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(seen, (feature - mean) / (variance + 1e-5).sqrt())
    scale = torch.tensor([0.5, 3.0, 8.0, 1.0]).view(1, 4, 1, 1)
    other = AdversarialFeatureLoss(normalize='channel').seen(scale * feature - 7)
    torch.testing.assert_close(seen, other, rtol=1e-3, atol=1e-3)


def test_normalize_removes_differences_of_the_means():
    def accuracy(normalize):
        discriminator = discriminators('adversarial')
        wrapper, loss = adam(discriminator), AdversarialFeatureLoss(normalize=normalize)
        log = [step(loss, discriminator, wrapper, batch(i)) for i in range(40)]
        return sum(float(one['d_accuracy_adversarial']) for one in log[-10:]) / 10

    assert accuracy('none') > 0.9
    assert accuracy('channel') < 0.65


def test_gradients_pass_the_normalization():
    feature = random(2, 4, 8, 8).requires_grad_()
    discriminator = discriminators('adversarial')['adversarial']
    loss = AdversarialFeatureLoss(normalize='channel')
    loss.student_loss(discriminator(loss.seen(feature))).backward()
    assert feature.grad.abs().sum() > 0
    # an offset of a channel changes nothing
    torch.testing.assert_close(feature.grad.sum((2, 3)), torch.zeros(2, 4), atol=1e-6,
                               rtol=0)


# The penalty

def test_r1_equals_its_definition():
    weight, real = random(4, 8, 8), random(3, 4, 8, 8, seed=1)
    loss = AdversarialFeatureLoss(r1=10.0)
    penalty = loss.penalty(lambda x: (x * weight).sum((1, 2, 3)), real)
    torch.testing.assert_close(penalty, 5 * weight.square().sum())
    # a nonlinear D, its gradient by finite differences
    found = loss.penalty(lambda x: (x**3).sum((1, 2, 3)) / 100, real)
    numeric = (((real.double() + 1e-4)**3 - (real.double() - 1e-4)**3) / 2e-4 / 100)
    expected = 5 * numeric.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('norm', NORMS)
def test_r1_trains_only_d_and_is_computed_in_fp32(norm):
    discriminator = discriminators('adversarial', norm=norm).eval()['adversarial']
    real = random(2, 4, 16, 16).requires_grad_()
    loss = AdversarialFeatureLoss(r1=2.0)
    plain = loss.penalty(discriminator, real)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = loss.penalty(discriminator, real)
    assert mixed.dtype == torch.float32 and torch.equal(plain, mixed)
    discriminator.train()
    loss.penalty(discriminator, real).backward()
    assert real.grad is None
    weights = [p for p in discriminator.parameters() if p.dim() == 4]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


def test_a_step_follows_the_gradient_of_loss_and_penalty():
    discriminator, loss = discriminators('adversarial'), AdversarialFeatureLoss(r1=3.0)
    fake, real = batch(0)
    real.requires_grad_()
    before = list(discriminator.parameters())
    slope, = torch.autograd.grad(discriminator['adversarial'](real).sum(), real,
                                 create_graph=True)
    penalty = 1.5 * slope.square().sum((1, 2, 3)).mean()
    total = ((discriminator['adversarial'](real) - 1)**2).mean() + (
        discriminator['adversarial'](fake)**2).mean() + penalty
    expected = [p.detach() - 0.1 * slope for p, slope in
                zip(before, torch.autograd.grad(total, before, allow_unused=True))]
    log = step(loss, discriminator, sgd(discriminator, 0.1), (fake, real.detach()))
    torch.testing.assert_close(log['d_r1_adversarial'], penalty.detach())
    for parameter, value in zip(discriminator.parameters(), expected):
        torch.testing.assert_close(parameter.detach(), value)


def test_r1_reduces_the_gap_between_the_scores():
    def gap(r1):
        discriminator = discriminators('adversarial')
        wrapper, loss = adam(discriminator), AdversarialFeatureLoss(r1=r1)
        log = [step(loss, discriminator, wrapper, batch(i)) for i in range(40)][-1]
        return float(log['d_real_adversarial'] - log['d_fake_adversarial'])

    assert gap(0.0) > 0.5
    assert gap(10.0) < 0.3


# Several processes

def run(folder):
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    discriminator = discriminators('adversarial')
    model = MMDistributedDataParallel(discriminator, broadcast_buffers=False)
    wrapper = sgd(discriminator)
    for iteration in range(3):
        step(AdversarialFeatureLoss(r1=0.1), model, wrapper,
             [half[2 * rank:2 * rank + 2] for half in batch(iteration)])
    torch.save(values(discriminator), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_update_d_as_one_process_does(tmp_path):
    """The penalty bypasses the wrapper's forward; its gradient is averaged too."""
    warm.run_ranks('-c', 'import sys; from tests.models.losses.test_adversarial import '
                   'run; run(sys.argv[1])', tmp_path)
    discriminator = discriminators('adversarial')
    wrapper = sgd(discriminator)
    for iteration in range(3):
        step(AdversarialFeatureLoss(r1=0.1), discriminator, wrapper, batch(iteration))
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    assert all(map(torch.equal, first, second))
    torch.testing.assert_close(first, values(discriminator))


# Arguments

@pytest.mark.parametrize('settings, message', [
    (dict(normalize='batch'), "normalize: expected .* found 'batch'"),
    (dict(r1=-1.0), 'r1: expected'),
    (dict(loss_weight=[(5, 1.0), (5, 0.0)]), 'loss_weight must ascend')])
def test_invalid_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AdversarialFeatureLoss(**settings)
