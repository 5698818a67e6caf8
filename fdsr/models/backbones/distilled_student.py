"""The student: the encoder-decoder alone, without dictionary and landmarks."""

from typing import List, Optional

from torch import Tensor, nn

from fdsr.models.backbones.decoder import StyledDecoder
from fdsr.models.backbones.encoder import FeatureEncoder, layout_of
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS


@MODELS.register_module()
class DistilledStudent(nn.Module):
    """Encoder-decoder for face super-resolution (Jo et al. 2021, after DFDNet).

    The LR picture is up-sampled as PIL's bicubic does, encoded by VGG, and decoded by
    styled up-stages. ``DictionaryTeacher`` is the same with a dictionary between.

    Args:
        scale: whole factor from LR to SR.
        layout: where the encoder is tapped, see ``encoder.LAYOUTS``.
        encoder: arguments of ``FeatureEncoder`` but for the layout.
        width: multiplies the decoder's channels.
    """

    uses_boxes = False

    def __init__(self, scale: int = 8, layout: str = 'B',
                 encoder: Optional[dict] = None, width: float = 1.0) -> None:
        super().__init__()
        self.upsample = BicubicUpsample(scale)
        self.encoder = FeatureEncoder(layout=layout, **(encoder or {}))
        self.decoder = StyledDecoder(
            self.encoder.channels, layout_of(layout).strides, width)

    def encode(self, lr: Tensor) -> List[Tensor]:
        """The encoder's maps of the up-sampled LR picture, finest first.

        They depend on nothing that is trained while the encoder is frozen, so they
        may be computed once and given to ``forward`` of several networks.
        """
        return self.encoder(self.upsample(lr))

    def shares_encoding_with(self, other: nn.Module) -> bool:
        """Whether both encode every LR picture alike, now and after training."""
        return (isinstance(other, DistilledStudent)
                and self.upsample.scale == other.upsample.scale
                and self.encoder.same_frozen_as(other.encoder))

    def forward(self, lr: Tensor, encoded: Optional[List[Tensor]] = None) -> Tensor:
        """Super-resolves.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            encoded: what ``encode(lr)`` returned, if it is at hand.

        Returns:
            (B, 3, h · scale, w · scale) RGB, meant for [0, 1].
        """
        maps = self.encode(lr) if encoded is None else encoded
        return self.decoder(maps[-1], maps)
