"""Losses between a student's and a teacher's features."""

from typing import Dict, Sequence, Tuple, Union

import numpy as np
from mmagic.models.losses import GANLoss
from torch import Tensor, nn

from fdsr.registry import MODELS

#: A weight, or (iteration, weight) points with straight lines between them.
Weight = Union[float, Sequence[Tuple[int, float]]]


class FeatureLoss(nn.Module):
    """A distillation loss with its own taps.

    A tap is a module's path in its network and ``input`` or ``output`` behind a
    colon: ``'decoder.to_rgb:input'``. Subclasses implement ``forward``.

    Args:
        teacher: tap of the teacher, or of both networks.
        student: tap of the student; default: the teacher's.
        loss_weight: a number, or (iteration, weight) points that are joined by
            straight lines: ``[(0, 0.0), (1000, 1.0)]`` warms up, ``[(0, 10.0),
            (5000, 0.0)]`` fades out.
        connector: learn a 1×1 convolution from the student's channels to the
            teacher's: ``'auto'`` where their numbers differ, True or False.

    Raises:
        ValueError: the weight's points do not ascend, or the connector is unknown.
    """

    #: The key in the log; the loss itself is not looked for by its name.
    name = 'feature'
    adversarial = False

    def __init__(self, teacher: str = 'decoder.to_rgb:input',
                 student: Union[str, None] = None, loss_weight: Weight = 1.0,
                 connector: Union[str, bool] = 'auto') -> None:
        super().__init__()
        if connector not in ('auto', True, False):
            raise ValueError(
                f"connector has to be 'auto', True or False, found {connector!r}.")
        self.teacher_tap = teacher
        self.student_tap = student or teacher
        self.connector = connector
        self._points = _weight_points(loss_weight)

    def weight_at(self, iteration: int) -> float:
        """The loss's weight at an iteration."""
        iterations, weights = self._points
        return float(np.interp(iteration, iterations, weights))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss, without its weight.

        Args:
            student: (B, C, H, W), after the connector if there is one.
            teacher: (B, C, H, W), without gradient.
        """
        raise NotImplementedError


def _weight_points(weight: Weight) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    if isinstance(weight, (int, float)):
        return (0, ), (float(weight), )
    iterations, weights = zip(*weight)
    if any(later <= earlier for earlier, later in zip(iterations, iterations[1:])):
        raise ValueError(
            f'The iterations of loss_weight have to ascend, found {list(iterations)}.')
    return iterations, weights


@MODELS.register_module()
class FeatureL1Loss(FeatureLoss):
    """Mean absolute difference of the features (KDFSRNet; AFD's counter-example)."""

    name = 'feature_l1'

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ``FeatureLoss.forward``."""
        return (student - teacher).abs().mean()


@MODELS.register_module()
class AdversarialFeatureLoss(FeatureLoss):
    """Equations (1), second term, and (2): a discriminator tells F_T from F_S.

    Args:
        gan_type: of mmagic's ``GANLoss``; ``lsgan`` is the paper's.
        **kwargs: as ``FeatureLoss``.
    """

    name = 'adversarial'
    adversarial = True

    def __init__(self, gan_type: str = 'lsgan', **kwargs) -> None:
        super().__init__(**kwargs)
        self.gan = GANLoss(gan_type)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Not for features: see ``student_loss`` and ``discriminator_losses``."""
        raise TypeError(
            'AdversarialFeatureLoss works on the scores of a discriminator; call '
            'student_loss(scores) or discriminator_losses(real, fake).')

    def student_loss(self, fake: Tensor) -> Tensor:
        """E[(D(F_S) − 1)²] of the discriminator's scores of the student's feature."""
        return self.gan(fake, target_is_real=True, is_disc=False)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> Dict[str, Tensor]:
        """E[(D(F_T) − 1)²] and E[D(F_S)²], the two halves of equation (2)."""
        return {
            'real': self.gan(real, target_is_real=True, is_disc=True),
            'fake': self.gan(fake, target_is_real=False, is_disc=True),
        }
