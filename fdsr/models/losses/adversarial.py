"""Adversarial losses: a discriminator tells the student's from what it should be."""

from typing import Callable, Dict, Optional

import torch
from mmagic.models.losses.gan_loss import GANLoss
from torch import Tensor

from fdsr.models.dictionary.component_dictionary import normalise as normalise_channels
from fdsr.models.losses.feature import FeatureLoss
from fdsr.models.losses.schedule import Schedule, Scheduled
from fdsr.registry import MODELS

_NORMALISATIONS = ('none', 'channel')


@MODELS.register_module()
class AdversarialFeatureLoss(FeatureLoss):
    """Equations (1), second term, and (2): a discriminator tells F_T from F_S.

    Networks that were trained apart have their features in different bases, and D
    tells them apart within a few iterations. The options weaken D; all of them are
    off in the paper.

    Args:
        gan_type: of mmagic's ``GANLoss``; ``lsgan`` is the paper's.
        normalise: ``'channel'`` shows D features with mean 0 and deviation 1 in each
            channel of each sample; ``'none'`` shows them as they are.
        instance_noise: standard deviation of Gaussian noise on all that D sees, after
            the normalisation (Sønderby et al. 2017); a number or points, see
            ``Schedule``.
        r1: γ of the penalty γ/2 · E‖∇D(F_T)‖² in D's step (Mescheder et al. 2018),
            with D the sum of its patches and the gradient by what D sees.
        update_below: update D only where its accuracy on the batch is below this; the
            paper's D is always updated (None).
        **kwargs: as ``FeatureLoss``.

    Raises:
        ValueError: unknown normalisation, or a negative ``r1``.
    """

    name = 'adversarial'
    adversarial = True

    def __init__(self, gan_type: str = 'lsgan', normalise: str = 'none',
                 instance_noise: Scheduled = 0.0, r1: float = 0.0,
                 update_below: Optional[float] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if normalise not in _NORMALISATIONS:
            raise ValueError(f'normalise has to be {" or ".join(_NORMALISATIONS)}, '
                             f'found {normalise!r}.')
        if r1 < 0:
            raise ValueError(f'r1 has to be 0 or more, found {r1}.')
        self.gan = GANLoss(gan_type)
        self.normalise, self.r1, self.update_below = normalise, r1, update_below
        self._noise = Schedule(instance_noise, 'instance_noise')

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Not for features: see ``student_loss`` and ``discriminator_losses``."""
        raise TypeError(
            'AdversarialFeatureLoss works on the scores of a discriminator; call '
            'student_loss(scores) or discriminator_losses(real, fake).')

    def seen(self, feature: Tensor, iteration: int) -> Tensor:
        """What D gets to see of a feature, real or fake: (B, C, H, W) to the same."""
        if self.normalise == 'channel':
            with torch.autocast(feature.device.type, enabled=False):
                feature = normalise_channels(feature.float(), unbiased=False)
        deviation = self._noise.at(iteration)
        if deviation > 0:
            feature = feature + deviation * torch.randn_like(feature)
        return feature

    def student_loss(self, fake: Tensor) -> Tensor:
        """E[(D(F_S) − 1)²] of the discriminator's scores of the student's feature."""
        return self.gan(fake, target_is_real=True, is_disc=False)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> Dict[str, Tensor]:
        """E[(D(F_T) − 1)²] and E[D(F_S)²], the two halves of equation (2)."""
        return {
            'real': self.gan(real, target_is_real=True, is_disc=True),
            'fake': self.gan(fake, target_is_real=False, is_disc=True),
        }

    def learns(self, accuracy: float) -> bool:
        """Whether D is to be updated after a batch on which it was so often right."""
        return self.update_below is None or accuracy < self.update_below

    def penalty(self, judge: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
        """γ/2 · E‖∇D(F_T)‖², in fp32 whatever autocast says.

        Args:
            judge: D, which is run once more.
            real: (B, C, H, W), as D sees it.
        """
        with torch.autocast(real.device.type, enabled=False):
            real = real.detach().float().requires_grad_()
            slope, = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
            return self.r1 / 2 * slope.square().flatten(1).sum(dim=1).mean()


@MODELS.register_module()
class AdversarialImageLoss(AdversarialFeatureLoss):
    """The same game on pictures: GT is real, the student's SR is fake.

    A control for ``AdversarialFeatureLoss``: an image GAN of the same size, which tells
    whether the teacher helps or the adversarial loss as such. D sees pictures in
    [−1, 1]; its weight is the preset's for the adversarial term.

    Args:
        **kwargs: as ``AdversarialFeatureLoss`` but for taps and connector.
    """

    name = 'adversarial_image'

    def __init__(self, **kwargs) -> None:
        super().__init__(teacher=None, student=':output', connector=False, **kwargs)

    def seen(self, feature: Tensor, iteration: int) -> Tensor:
        """What D gets to see of a picture in [0, 1], real or fake."""
        return super().seen(2 * feature - 1, iteration)
