"""What D is shown, how it is held back, and whether it learns."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from torch import nn

from fdsr.models.discriminators import FeatureDiscriminator
from fdsr.models.losses import AdversarialFeatureLoss
from fdsr.models.restorers.discriminator_step import discriminator_step
from fdsr.models.restorers.per_tap import PerTap

NORMS = ['batch', 'instance', 'none', 'spectral']


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def judges(*names, norm='none', seed=0):
    torch.manual_seed(seed)
    return PerTap({name: FeatureDiscriminator(4, base_channels=8, depth=2, norm=norm)
                   for name in names})


def adam(module, lr=2e-3, **settings):
    return OptimWrapper(torch.optim.Adam(module.parameters(), lr, (0.5, 0.999)),
                        **settings)


def sgd(module, lr=0.1, **settings):
    return OptimWrapper(torch.optim.SGD(module.parameters(), lr), **settings)


def batch(seed, shift=0.5, size=4):
    """Fake and real features that a shift of the first channel tells apart."""
    offset = torch.tensor([shift, 0, 0, 0]).view(1, 4, 1, 1)
    return (random(size, 4, 16, 16, seed=2 * seed) - offset,
            random(size, 4, 16, 16, seed=2 * seed + 1) + offset)


def step(loss, judge, wrapper, iteration=0, features=None):
    ours, theirs = batch(iteration) if features is None else features
    return discriminator_step(nn.ModuleDict(dict(adversarial=loss)), judge,
                              dict(adversarial=ours), dict(adversarial=theirs),
                              iteration, wrapper)


def values(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(one, other):
    return all(map(torch.equal, one, other))


# What D sees

def test_normalised_channels_have_mean_zero_and_deviation_one():
    feature = 5 * random(3, 4, 8, 8) + 2
    seen = AdversarialFeatureLoss(normalise='channel').seen(feature, 0)
    torch.testing.assert_close(seen, F.instance_norm(feature))
    scale = torch.tensor([0.5, 3.0, 8.0, 1.0]).view(1, 4, 1, 1)
    other = AdversarialFeatureLoss(normalise='channel').seen(scale * feature - 7, 0)
    torch.testing.assert_close(seen, other, rtol=1e-3, atol=1e-3)


def test_normalised_features_lose_what_their_means_told():
    def accuracy(normalise):
        judge = judges('adversarial')
        wrapper, loss = adam(judge), AdversarialFeatureLoss(normalise=normalise)
        log = [step(loss, judge, wrapper, i) for i in range(40)]
        return sum(float(one['d_accuracy_adversarial']) for one in log[-10:]) / 10

    assert accuracy('none') > 0.9
    assert accuracy('channel') < 0.65


def test_the_gradient_passes_the_normalisation():
    feature = random(2, 4, 8, 8).requires_grad_()
    judge = judges('adversarial')['adversarial']
    loss = AdversarialFeatureLoss(normalise='channel')
    loss.student_loss(judge(loss.seen(feature, 0))).backward()
    assert feature.grad.abs().sum() > 0
    # moving or stretching a channel changes nothing
    torch.testing.assert_close(feature.grad.sum((2, 3)), torch.zeros(2, 4), atol=1e-6,
                               rtol=0)


def test_noise_follows_its_schedule():
    loss = AdversarialFeatureLoss(instance_noise=[(0, 0.5), (100, 0.0)])
    feature = random(2, 4, 64, 64)
    for iteration, deviation in ((0, 0.5), (50, 0.25)):
        torch.manual_seed(0)
        noise = loss.seen(feature, iteration) - feature
        assert float(noise.std()) == pytest.approx(deviation, rel=0.02)
        assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    torch.manual_seed(0)
    assert loss.seen(feature, 100) is feature
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator()
                                                 .manual_seed(0))), 'a number was drawn'


def test_noise_is_added_to_real_and_fake_after_the_normalisation():
    shown = []
    judge = judges('adversarial')
    judge.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    torch.manual_seed(0)
    step(AdversarialFeatureLoss(normalise='channel', instance_noise=3.0), judge,
         sgd(judge))
    for seen in shown:
        assert float(seen['adversarial'].std()) == pytest.approx(10**0.5, rel=0.05)
    assert len(shown) == 2


# The penalty

def test_r1_is_half_gamma_times_the_squared_slope():
    weight, real = random(4, 8, 8), random(3, 4, 8, 8, seed=1)
    loss = AdversarialFeatureLoss(r1=10.0)
    penalty = loss.penalty(lambda x: (x * weight).sum((1, 2, 3)), real)
    torch.testing.assert_close(penalty, 5 * weight.square().sum())
    # a curved D, its slope by finite differences
    found = loss.penalty(lambda x: (x**3).sum((1, 2, 3)) / 100, real)
    numeric = (((real.double() + 1e-4)**3 - (real.double() - 1e-4)**3) / 2e-4 / 100)
    expected = 5 * numeric.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('norm', NORMS)
def test_r1_pulls_at_d_alone_and_in_fp32(norm):
    judge = judges('adversarial', norm=norm).eval()['adversarial']
    real = random(2, 4, 16, 16).requires_grad_()
    loss = AdversarialFeatureLoss(r1=2.0)
    plain = loss.penalty(judge, real)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = loss.penalty(judge, real)
    assert mixed.dtype == torch.float32 and torch.equal(plain, mixed)
    judge.train()
    loss.penalty(judge, real).backward()
    assert real.grad is None
    weights = [p for p in judge.parameters() if p.dim() == 4]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


def test_a_step_goes_down_the_loss_and_the_penalty():
    judge, loss = judges('adversarial'), AdversarialFeatureLoss(r1=3.0)
    ours, theirs = batch(0)
    theirs.requires_grad_()
    before = list(judge.parameters())
    slope, = torch.autograd.grad(judge['adversarial'](theirs).sum(), theirs,
                                 create_graph=True)
    penalty = 1.5 * slope.square().sum((1, 2, 3)).mean()
    total = ((judge['adversarial'](theirs) - 1)**2).mean() + (
        judge['adversarial'](ours)**2).mean() + penalty
    expected = [p.detach() - 0.1 * slope for p, slope in
                zip(before, torch.autograd.grad(total, before, allow_unused=True))]
    log = step(loss, judge, sgd(judge, 0.1), features=(ours, theirs.detach()))
    torch.testing.assert_close(log['d_r1_adversarial'], penalty.detach())
    for found, wanted in zip(judge.parameters(), expected):
        torch.testing.assert_close(found.detach(), wanted)


def test_r1_keeps_the_scores_together():
    def gap(r1):
        judge = judges('adversarial')
        wrapper, loss = adam(judge), AdversarialFeatureLoss(r1=r1)
        log = [step(loss, judge, wrapper, i) for i in range(40)][-1]
        return float(log['d_real_adversarial'] - log['d_fake_adversarial'])

    assert gap(0.0) > 0.5
    assert gap(10.0) < 0.3


# Whether D learns

def test_d_rests_while_it_is_too_good():
    judge = judges('adversarial')
    wrapper, loss = adam(judge), AdversarialFeatureLoss(update_below=0.8)
    rested = 0
    for iteration in range(40):
        before = values(judge)
        log = step(loss, judge, wrapper, iteration)
        learned = log['d_updated_adversarial'] == 1
        assert learned == (log['d_accuracy_adversarial'] < 0.8)
        assert same(before, values(judge)) != learned
        rested += not learned
    assert rested > 10
    always = judges('adversarial')
    wrapper = adam(always)
    for iteration in range(40):
        log_always = step(AdversarialFeatureLoss(), always, wrapper, iteration)
    assert 'd_updated_adversarial' not in log_always
    assert log_always['loss_d_adversarial'] < log['loss_d_adversarial']


def two_steps(first, second, wrapper_of, learns, monkeypatch):
    """Two Ds that decide as told, a list an iteration."""
    judge = judges('first', 'second')
    wrapper = wrapper_of(judge)
    losses = nn.ModuleDict(dict(first=first, second=second))
    history = [(values(judge['first']), values(judge['second']))]
    for iteration, (one, other) in enumerate(learns):
        monkeypatch.setattr(first, 'learns', lambda _, one=one: one)
        monkeypatch.setattr(second, 'learns', lambda _, other=other: other)
        ours, theirs = batch(iteration)
        discriminator_step(losses, judge, dict(first=ours, second=ours),
                           dict(first=theirs, second=theirs), iteration, wrapper)
        history.append((values(judge['first']), values(judge['second'])))
    return history, wrapper


def gated():
    return AdversarialFeatureLoss(update_below=0.5)


def test_each_of_several_ds_rests_on_its_own(monkeypatch):
    learns = [(True, True), (True, False), (False, True), (False, False), (True, True)]
    history, wrapper = two_steps(gated(), gated(), adam, learns, monkeypatch)
    for before, after, who in zip(history, history[1:], learns):
        for index in (0, 1):  # Adam has momentum since the first step
            assert same(before[index], after[index]) != who[index]
    steps = {int(state['step']) for state in wrapper.optimizer.state.values()}
    assert steps == {3}, 'each D has learned three times'


def test_a_resting_d_is_as_if_the_batch_had_not_been(monkeypatch):
    with_rest, _ = two_steps(gated(), gated(), adam,
                             [(True, True), (False, True), (True, True)], monkeypatch)
    judge = judges('first', 'second')
    wrapper = adam(judge)
    losses = nn.ModuleDict(dict(first=AdversarialFeatureLoss()))
    only = PerTap({'first': judge['first']})
    for iteration in (0, 2):
        ours, theirs = batch(iteration)
        discriminator_step(losses, only, dict(first=ours), dict(first=theirs),
                           iteration, wrapper)
    for found, expected in zip(with_rest[-1][0], values(only)):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('learns, moves', [
    ([True, False], True), ([False, True], True), ([False, False], False)])
def test_accumulation_keeps_its_rhythm(learns, moves, monkeypatch):
    def accumulating(judge):
        wrapper = sgd(judge, accumulative_counts=2)
        wrapper.initialize_count_status(judge, 0, 4)
        return wrapper

    decisions = [(one, False) for one in [*learns, True, True]]
    history, _ = two_steps(gated(), gated(), accumulating, decisions, monkeypatch)
    first = [state[0] for state in history]
    assert same(first[0], first[1]), 'half a batch has moved D'
    assert same(first[1], first[2]) != moves
    assert same(first[2], first[3]) and not same(first[3], first[4])
    assert all(same(history[0][1], state[1]) for state in history)
    if moves:  # by half of the one gradient
        judge = judges('first')
        ours, theirs = batch(learns.index(True))
        loss = ((judge['first'](theirs) - 1)**2).mean() + (
            judge['first'](ours)**2).mean()
        loss.backward()
        for start, end, parameter in zip(first[0], first[2],
                                         judge['first'].parameters()):
            torch.testing.assert_close(end, start - 0.1 * parameter.grad / 2)


class Scaled(OptimWrapper):
    """As mmengine's AmpOptimWrapper, which refuses a CPU, scales the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=2.0**10)

    def backward(self, loss, **kwargs):
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()


@pytest.mark.parametrize('clip', [None, dict(max_norm=1e3)])
def test_resting_goes_with_a_scaled_loss(clip, monkeypatch):
    def scaled(judge):
        return Scaled(optimizer=torch.optim.SGD(judge.parameters(), 0.1),
                      clip_grad=clip)

    learns = [(False, False), (True, False), (False, False), (True, True)]
    history, _ = two_steps(gated(), gated(), scaled, learns, monkeypatch)
    plain, _ = two_steps(gated(), gated(), sgd, learns, monkeypatch)
    for found, expected in zip(history, plain):
        for ours, theirs in zip(found, expected):
            torch.testing.assert_close(ours, theirs)
    assert not same(history[0][0], history[2][0])


@pytest.mark.parametrize('settings, message', [
    (dict(normalise='batch'), 'normalise'), (dict(r1=-1.0), 'r1'),
    (dict(instance_noise=[(5, 1.0), (5, 0.0)]), 'instance_noise have to ascend')])
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AdversarialFeatureLoss(**settings)
