"""A wrapper for recurrent networks that return the images of all steps."""

from typing import List

from torch import Tensor

from fdsr.models.contract import Backbone
from fdsr.registry import MODELS


@MODELS.register_module()
class UnrolledGenerator(Backbone):
    """Adapts a recurrent network that returns a list of images to a backbone.

    An example is mmagic's ``DICNet``, which returns ``(images, heatmaps)``; only the
    first item of a tuple is used. The last image is the result. The pixel loss sums
    over all images, as for ``SRFBN``.

    Args:
        network: config of the network. It maps (B, 3, h, w) RGB in [0, 1] to a list of
            (B, 3, H, W), or to a tuple whose first item is this list.
    """

    def __init__(self, network: dict) -> None:
        super().__init__()
        self.network = MODELS.build(network)
        # if None, fdsr.models.contract measures the scale
        self.scale = getattr(self.network, 'scale', None)

    def forward_steps(self, lr: Tensor) -> List[Tensor]:
        """Returns the SR image after each step.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].

        Returns:
            One (B, 3, H, W) per step, RGB, not clamped.

        Raises:
            TypeError: the network does not return a list.
        """
        outputs = self.network(lr)
        images = outputs[0] if isinstance(outputs, tuple) else outputs
        if not isinstance(images, (list, tuple)) or not images:
            raise TypeError(
                f'{type(self.network).__name__}: expected a list of images, one per '
                f'step, found {type(images).__name__}. A network that returns a single '
                'image does not need UnrolledGenerator.')
        return list(images)

    def forward(self, lr: Tensor, all_steps: bool = False) -> Tensor | List[Tensor]:
        """Returns the last step's image, or those of all steps, not clamped.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            all_steps: return ``forward_steps(lr)``.
        """
        outputs = self.forward_steps(lr)
        return outputs if all_steps else outputs[-1]
