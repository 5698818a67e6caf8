"""Losses between a student's and a teacher's features."""

from typing import Sequence

import numpy as np
from torch import Tensor, nn

from fdsr.registry import MODELS

#: A number, or (iteration, number) points that are interpolated linearly.
Scheduled = float | Sequence[tuple[int, float]]


class FeatureLoss(nn.Module):
    """Base class of distillation losses; each loss has its own taps.

    A tap is a module path and ``input`` or ``output``, separated by a colon:
    ``'decoder.to_rgb:input'``. An empty path is the network itself: ``':output'`` is
    SR. Subclasses implement ``forward``.

    Args:
        teacher: tap of the teacher. With None, the target is GT and the loss does not
            need the teacher to run.
        student: tap of the student. Default: the same as ``teacher``.
        loss_weight: a number, or (iteration, weight) points that are interpolated
            linearly and constant outside: ``[(0, 0.0), (1000, 1.0)]`` warms up,
            ``[(0, 10.0), (5000, 0.0)]`` fades out.
        connector: whether to learn a 1×1 convolution from the student's channels to
            the teacher's: True, False, or ``'auto'``, where the numbers differ.

    Raises:
        ValueError: the iterations of ``loss_weight`` do not ascend, ``connector`` is
            unknown, or both taps are None.
    """

    #: Key of the loss in the log.
    name = 'feature'
    adversarial = False
    #: Whether both features need the same number of channels.
    same_channels = True

    def __init__(self, teacher: str | None = 'decoder.to_rgb:input',
                 student: str | None = None, loss_weight: Scheduled = 1.0,
                 connector: str | bool = 'auto') -> None:
        super().__init__()
        if connector not in ('auto', True, False):
            raise ValueError(
                f"connector: expected 'auto', True or False, found {connector!r}.")
        if teacher is None and student is None:
            raise ValueError(
                f'{type(self).__name__}: with teacher=None the target is GT, but no '
                "tap of the student was given. Set student, e.g. to ':output'.")
        self.teacher_tap = teacher
        self.student_tap = student or teacher
        self.connector = connector
        points = ([(0, loss_weight)] if isinstance(loss_weight, (int, float)) else
                  loss_weight)
        self._iterations, self._weights = zip(*points)
        if any(later <= earlier for earlier, later in
               zip(self._iterations, self._iterations[1:])):
            raise ValueError('The iterations of loss_weight must ascend, found '
                             f'{list(self._iterations)}.')

    def weight_at(self, iteration: int) -> float:
        """Returns the weight of the loss at an iteration."""
        return float(np.interp(iteration, self._iterations, self._weights))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the loss without its weight.

        Args:
            student: (B, C, H, W), after the connector if there is one.
            teacher: (B, C, H, W), without gradient.
        """
        raise NotImplementedError


@MODELS.register_module()
class FeatureL1Loss(FeatureLoss):
    """Mean absolute difference of the features (KDFSRNet).

    With ``teacher=':output'`` it compares the images of both networks, in [0, 1].
    """

    name = 'feature_l1'

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the loss, see ``FeatureLoss.forward``."""
        return (student.float() - teacher.float()).abs().mean()
