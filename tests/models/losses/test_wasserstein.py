"""WGAN-GP against formulas that are written down independently."""

import pytest
import torch

from fdsr.models.losses import WassersteinLoss


def test_the_losses_of_both_sides():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 2.0])
    loss = WassersteinLoss(loss_weight=0.5)
    assert loss.discriminator_loss(real, fake) == 0.5 - 2.0
    assert loss(fake) == -0.5 * 0.5


def test_the_penalty_of_a_linear_discriminator_is_known():
    """D(x) = ⟨a, x⟩ has the gradient a everywhere."""
    a = torch.randn(3, 4, 4).double()
    real, fake = torch.rand(2, 3, 4, 4).double(), torch.rand(2, 3, 4, 4).double()
    found = WassersteinLoss(gradient_penalty=7.0).penalty(
        lambda x: (x.double() * a).flatten(1).sum(1), real, fake)
    expected = 7 * (a.square().sum().sqrt() - 1)**2
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_the_penalty_of_a_quadratic_discriminator_is_at_points_in_between():
    """D(x) = ‖x‖²/2 has the gradient x, which tells where it was taken."""
    real, fake = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    torch.manual_seed(3)
    found = WassersteinLoss().penalty(
        lambda x: x.square().flatten(1).sum(1) / 2, real, fake)
    torch.manual_seed(3)
    shares = torch.rand(4, 1, 1, 1)
    between = (1 - shares) * real + shares * fake
    norms = torch.stack([one.norm() for one in between])
    torch.testing.assert_close(found, 10 * ((norms - 1)**2).mean())


def test_the_penalty_equals_finite_differences_and_trains_the_discriminator():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Flatten(),
        torch.nn.Linear(4 * 4, 1))
    image = torch.rand(1, 3, 4, 4)
    loss = WassersteinLoss().penalty(lambda x: net(x), image, image)  # one point
    exact = net.double()
    step, gradient = 1e-6, torch.zeros(3 * 4 * 4, dtype=torch.float64)
    for index in range(len(gradient)):
        offset = torch.zeros(3 * 4 * 4, dtype=torch.float64)
        offset[index] = step
        offset = offset.view(1, 3, 4, 4)
        gradient[index] = (exact(image.double() + offset)
                           - exact(image.double() - offset)).item() / (2 * step)
    expected = 10 * (gradient.norm() - 1)**2
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)


def test_the_penalty_has_gradients_for_the_discriminator_only():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(),
                              torch.nn.Linear(16, 1))
    real, fake = (torch.rand(2, 3, 4, 4, requires_grad=True) for _ in range(2))
    WassersteinLoss().penalty(net, real, fake).backward()
    assert net[0].weight.grad.abs().sum() > 0
    assert real.grad is None and fake.grad is None


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match='at least 0, found -1'):
        WassersteinLoss(gradient_penalty=-1)
