"""Losses of the second study."""

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.models.losses.adversarial import AdversarialFeatureLoss
from fdsr.models.losses.feature import FeatureLoss
from fdsr.models.losses.pixel import PixelLoss
from fdsr.models.vgg import FrozenVGG, layer_channels
from fdsr.registry import MODELS


@MODELS.register_module()
class OutputLoss(FeatureLoss):
    """Pixel loss (MSE on [-1, 1]) between the outputs of student and teacher.

    Args:
        **kwargs: arguments of ``FeatureLoss`` except taps and connector.
    """

    name = 'output'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(teacher=':output', connector=False, **kwargs)
        self.distance = PixelLoss('mse')

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the loss, see ``FeatureLoss.forward``."""
        return self.distance(student, teacher)


@MODELS.register_module()
class AdversarialVGGLoss(AdversarialFeatureLoss):
    """Adversarial loss in a shared frozen space: D sees VGG-16's features.

    The outputs of student and teacher pass through the same frozen network, so their
    features have the same basis (Projected GANs, NeurIPS 2021; ADD, 2023).

    Args:
        layer: layer of VGG-16 whose output is the input of D.
        faces: use only the first faces of each batch.
        pretrained: as for ``FrozenVGG``.
        teacher: None compares with HR, a control.
        **kwargs: arguments of ``AdversarialFeatureLoss`` except student and connector.

    Attributes:
        seen_channels: number of channels that D sees.
    """

    name = 'adversarial_vgg'

    def __init__(self, layer: str = 'relu3_3', faces: int = 2,
                 pretrained: str | None = 'imagenet', teacher: str | None = ':output',
                 **kwargs: Any) -> None:
        super().__init__(
            teacher=teacher, student=':output', connector=False, **kwargs)
        self.trunk = FrozenVGG('vgg16', [layer], pretrained)
        self.layer, self.faces = layer, faces
        self.seen_channels = layer_channels('vgg16', layer)

    def seen(self, feature: Tensor) -> Tensor:
        """Returns VGG-16's features of images (B, 3, H, W) in [0, 1]."""
        return super().seen(self.trunk(feature[:self.faces])[self.layer])


class LastInputs(nn.Module):
    """A frozen network that does not run again for the inputs that it saw last.

    Args:
        network: takes one tensor.
        count: number of inputs whose results are kept.

    Attributes:
        active: False runs the network every time.
    """

    def __init__(self, network: nn.Module, count: int = 3) -> None:
        super().__init__()
        self.network, self.active = network, True
        self.kept: deque[tuple[Tensor, Any]] = deque(maxlen=count)

    def forward(self, value: Tensor) -> Any:
        """Returns the network's result, a kept one if ``value`` needs no gradient."""
        if value.requires_grad or not self.active:
            return self.network(value)
        for known, result in self.kept:
            if torch.equal(known, value):
                return result
        self.kept.append((value, self.network(value)))
        return self.kept[-1][1]
