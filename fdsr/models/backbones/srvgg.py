"""SRVGG: a plain stack of convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.contract import Backbone
from fdsr.registry import MODELS


@MODELS.register_module()
class SRVGG(Backbone):
    """A VGG-style stack at LR's size (Real-ESRGAN, Wang et al., ICCVW 2021).

    Convolutions with PReLU, one pixel shuffle, and LR upsampled by nearest neighbour as
    the base: the small models of Real-ESRGAN.

    Args:
        scale: factor from LR to SR.
        channels: number of feature channels.
        convs: number of convolutions between the first and the last.

    Raises:
        ValueError: an argument is below 1.
    """

    def __init__(self, scale: int = 8, channels: int = 64, convs: int = 16) -> None:
        super().__init__()
        if min(scale, channels, convs) < 1:
            raise ValueError('SRVGG: expected scale, channels and convs of at least 1, '
                             f'found {scale}, {channels}, {convs}.')
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1)]
        for _ in range(convs):
            layers += [nn.PReLU(channels), nn.Conv2d(channels, channels, 3, padding=1)]
        self.body = nn.Sequential(*layers, nn.PReLU(channels))
        self.to_rgb = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        residual = F.pixel_shuffle(self.to_rgb(self.body(lr)), self.scale)
        with torch.autocast(lr.device.type, enabled=False):
            return F.interpolate(lr, scale_factor=self.scale) + residual
