"""Adversarial losses: a discriminator D separates the student from its target."""

from typing import Callable

import torch
from mmagic.models.losses.gan_loss import GANLoss
from torch import Tensor
from torch.nn import functional as F

from fdsr.models.losses.feature import FeatureLoss
from fdsr.registry import MODELS

_NORMALIZATIONS = ('none', 'channel')


@MODELS.register_module()
class AdversarialFeatureLoss(FeatureLoss):
    """Adversarial loss between features F_S of the student and F_T of the teacher.

    Equation (1), second term, and equation (2). Two networks that were trained
    independently represent their features in different bases, which D detects within
    a few iterations. The options weaken D; the paper uses none of them.

    Args:
        gan_type: loss type of mmagic's ``GANLoss``; the paper uses ``lsgan``.
        normalize: ``'channel'`` normalizes every channel of every sample to mean 0 and
            standard deviation 1 before D; ``'none'`` passes features unchanged.
        r1: weight γ of the gradient penalty γ/2 · E‖∇D(F_T)‖² in the update of D
            (Mescheder et al. 2018), where D is the sum over its patches.
        **kwargs: arguments of ``FeatureLoss``.

    Raises:
        ValueError: unknown ``normalize``, or negative ``r1``.
    """

    name = 'adversarial'
    adversarial = True

    def __init__(self, gan_type: str = 'lsgan', normalize: str = 'none',
                 r1: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if normalize not in _NORMALIZATIONS:
            raise ValueError(f'normalize: expected {" or ".join(_NORMALIZATIONS)}, '
                             f'found {normalize!r}.')
        if r1 < 0:
            raise ValueError(f'r1: expected a number of at least 0, found {r1}.')
        self.gan = GANLoss(gan_type)
        self.normalize, self.r1 = normalize, r1

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Not supported: use ``student_loss`` and ``discriminator_loss``."""
        raise TypeError(
            'AdversarialFeatureLoss takes scores of a discriminator, not features. '
            'Call student_loss(scores) or discriminator_loss(real, fake).')

    def seen(self, feature: Tensor) -> Tensor:
        """Returns the input of D for a real or fake feature (B, C, H, W)."""
        if self.normalize == 'none':
            return feature
        with torch.autocast(feature.device.type, enabled=False):
            return F.instance_norm(feature.float())

    def student_loss(self, fake: Tensor) -> Tensor:
        """Returns E[(D(F_S) − 1)²] from D's scores of the student's feature."""
        return self.gan(fake, target_is_real=True, is_disc=False)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Returns E[(D(F_T) − 1)²] + E[D(F_S)²], equation (2)."""
        return (self.gan(real, target_is_real=True, is_disc=True)
                + self.gan(fake, target_is_real=False, is_disc=True))

    def penalty(self, discriminator: Callable[[Tensor], Tensor],
                real: Tensor) -> Tensor:
        """Returns γ/2 · E‖∇D(F_T)‖², computed in fp32 even under autocast.

        Args:
            discriminator: D; it runs once.
            real: input of D, (B, C, H, W).
        """
        with torch.autocast(real.device.type, enabled=False):
            real = real.detach().float().requires_grad_()
            gradient, = torch.autograd.grad(
                discriminator(real).sum(), real, create_graph=True)
            return self.r1 / 2 * gradient.square().flatten(1).sum(dim=1).mean()


@MODELS.register_module()
class AdversarialImageLoss(AdversarialFeatureLoss):
    """Adversarial loss on images: GT is real, the student's SR is fake.

    A control for ``AdversarialFeatureLoss``: it shows how much of a gain comes from an
    adversarial loss in general, without a teacher. D takes images in [−1, 1]. The
    weight is that of the preset's adversarial term.

    Args:
        **kwargs: arguments of ``AdversarialFeatureLoss`` except taps and connector.
    """

    name = 'adversarial_image'

    def __init__(self, **kwargs) -> None:
        super().__init__(teacher=None, student=':output', connector=False, **kwargs)

    def seen(self, feature: Tensor) -> Tensor:
        """Returns the input of D for an image (B, 3, H, W) in [0, 1]."""
        return super().seen(2 * feature - 1)
