"""The encoder-decoder shared by the student and the dictionary teacher."""

from typing import Any, Mapping

from torch import Tensor, nn

from fdsr.models.backbones.decoder import StyledDecoder
from fdsr.models.backbones.encoder import build_encoder, layout_of
from fdsr.models.contract import Backbone
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS


class EncoderDecoder(Backbone):
    """Bicubic upsampling, an encoder, and styled upsampling stages.

    Args:
        scale: integer factor from LR to SR.
        layout: position of the encoder's taps, see ``encoder.LAYOUTS``.
        encoder: config of the encoder except for ``layout``; default:
            ``FeatureEncoder`` with its default arguments.
        width: factor for the decoder's channels.
    """

    def __init__(self, scale: int = 8, layout: str = 'B',
                 encoder: Mapping[str, Any] | None = None, width: float = 1.0) -> None:
        super().__init__()
        self.upsample = BicubicUpsample(scale)
        self.scale = self.upsample.scale
        self.encoder = build_encoder(encoder or {}, layout)
        self.decoder = StyledDecoder(
            self.encoder.channels, layout_of(layout).strides, width)

    def encode(self, lr: Tensor) -> list[Tensor]:
        """Returns the encoder's feature maps of the upsampled LR image, finest first.

        The maps of a frozen encoder do not depend on trained parameters. Compute them
        once and pass them to the ``forward`` of several networks.
        """
        return self.encoder(self.upsample(lr))

    def shares_encoding_with(self, other: nn.Module) -> bool:
        """Returns whether both networks have the same frozen encoder and scale."""
        if not isinstance(other, EncoderDecoder) or self.scale != other.scale:
            return False
        one, two = self.encoder, other.encoder
        return (type(one) is type(two) and one.frozen and two.frozen
                and one.layout == two.layout
                and one.fingerprint() == two.fingerprint())


@MODELS.register_module()
class DistilledStudent(EncoderDecoder):
    """Encoder-decoder for face super-resolution (Jo et al. 2021, after DFDNet).

    The student has the encoder and decoder of the teacher, but no dictionary.

    Args:
        scale, layout, encoder, width: as for :class:`EncoderDecoder`.
    """

    def forward(self, lr: Tensor, encoded: list[Tensor] | None = None) -> Tensor:
        """Returns the SR image.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            encoded: result of ``encode(lr)``, if available.

        Returns:
            (B, 3, h · scale, w · scale) RGB, not clamped.
        """
        maps = self.encode(lr) if encoded is None else encoded
        return self.decoder(maps[-1], maps)
