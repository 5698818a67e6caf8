"""Losses between a student's and a teacher's features."""

from typing import Optional, Union

from torch import Tensor, nn

from fdsr.models.losses.schedule import Schedule, Scheduled
from fdsr.registry import MODELS


class FeatureLoss(nn.Module):
    """A distillation loss with its own taps.

    A tap is a module's path in its network and ``input`` or ``output`` behind a
    colon: ``'decoder.to_rgb:input'``. Without a path it is the network itself:
    ``':output'`` is SR. Subclasses implement ``forward``.

    Args:
        teacher: tap of the teacher, or of both networks. With None the loss looks at
            GT in the teacher's place, and does not need the teacher to run.
        student: tap of the student; default: the teacher's.
        loss_weight: a number, or (iteration, weight) points, see ``Schedule``.
        connector: learn a 1×1 convolution from the student's channels to the
            teacher's: ``'auto'`` where their numbers differ, True or False.

    Raises:
        ValueError: the weight's points do not ascend, the connector is unknown, or
            there is no tap at all.
    """

    #: The key in the log; the loss itself is not looked for by its name.
    name = 'feature'
    adversarial = False
    #: Whether both features need the same number of channels.
    same_channels = True

    def __init__(self, teacher: Optional[str] = 'decoder.to_rgb:input',
                 student: Optional[str] = None, loss_weight: Scheduled = 1.0,
                 connector: Union[str, bool] = 'auto') -> None:
        super().__init__()
        if connector not in ('auto', True, False):
            raise ValueError(
                f"connector has to be 'auto', True or False, found {connector!r}.")
        if teacher is None and student is None:
            raise ValueError(
                f'{type(self).__name__} compares with GT (teacher=None), but with '
                "what? Give student, e.g. ':output'.")
        self.teacher_tap = teacher
        self.student_tap = student or teacher
        self.connector = connector
        self._weight = Schedule(loss_weight, 'loss_weight')

    def weight_at(self, iteration: int) -> float:
        """The loss's weight at an iteration."""
        return self._weight.at(iteration)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss, without its weight.

        Args:
            student: (B, C, H, W), after the connector if there is one.
            teacher: (B, C, H, W), without gradient.
        """
        raise NotImplementedError


@MODELS.register_module()
class FeatureL1Loss(FeatureLoss):
    """Mean absolute difference of the features (KDFSRNet; AFD's counter-example)."""

    name = 'feature_l1'

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See ``FeatureLoss.forward``."""
        return (student - teacher).abs().mean()


@MODELS.register_module()
class OutputDistillLoss(FeatureL1Loss):
    """Mean absolute difference of the student's SR and the teacher's, in [0, 1].

    Output distillation, as KDFSRNet has it (with a weight of 0.1).

    Args:
        **kwargs: as ``FeatureLoss`` but for the taps.
    """

    name = 'output'

    def __init__(self, **kwargs) -> None:
        super().__init__(teacher=':output', student=':output', **kwargs)
