"""Generators of other packages that return every step they unroll."""

from typing import List

from torch import Tensor

from fdsr.models.contract import Backbone
from fdsr.registry import MODELS


@MODELS.register_module()
class UnrolledGenerator(Backbone):
    """Makes a backbone of a recurrent network that returns a list of pictures.

    mmagic's ``DICNet`` for one, which returns (pictures, heatmaps): the first of a
    tuple is taken for the pictures. The last picture is the result; training sums the
    pixel loss over all of them, as for ``SRFBN``.

    Args:
        network: config of the network: (B, 3, h, w) RGB in [0, 1] to a list of
            (B, 3, H, W), or to a tuple that begins with it.
    """

    def __init__(self, network: dict) -> None:
        super().__init__()
        self.network = MODELS.build(network)

    def forward_steps(self, lr: Tensor) -> List[Tensor]:
        """(B, 3, h, w) RGB in [0, 1] to one (B, 3, H, W) a step, not clamped.

        Raises:
            TypeError: the network returns no list.
        """
        outputs = self.network(lr)
        pictures = outputs[0] if isinstance(outputs, tuple) else outputs
        if not isinstance(pictures, (list, tuple)) or not pictures:
            raise TypeError(
                f'{type(self.network).__name__}: expected a list of pictures, one a '
                f'step, found {type(pictures).__name__}. A network that returns one '
                'picture needs no UnrolledGenerator.')
        return list(pictures)

    def forward(self, lr: Tensor, all_steps: bool = False) -> Tensor | List[Tensor]:
        """Returns the last step's image, or those of all steps, not clamped.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            all_steps: return ``forward_steps(lr)``.
        """
        outputs = self.forward_steps(lr)
        return outputs if all_steps else outputs[-1]
