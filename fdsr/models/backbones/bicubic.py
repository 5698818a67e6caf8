"""Bicubic up-sampling, the baseline that has nothing to learn."""

from torch import Tensor, nn

from fdsr.models.resampling import bicubic_matrix
from fdsr.registry import MODELS


@MODELS.register_module()
class Bicubic(nn.Module):
    """PIL's bicubic on 8-bit pictures: each of the two passes rounds and clips.

    Args:
        scale: whole factor from LR to SR.
    """

    uses_boxes = False

    def __init__(self, scale: int = 8) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale) in steps of
        1/255."""
        height, width = lr.shape[-2:]
        columns = bicubic_matrix(width, self.scale).to(lr)
        rows = bicubic_matrix(height, self.scale).to(lr)
        wide = _to_8_bits(lr * 255 @ columns.T)
        return _to_8_bits(rows @ wide) / 255


def _to_8_bits(image: Tensor) -> Tensor:
    return (image + 0.5).floor().clamp(0, 255)
