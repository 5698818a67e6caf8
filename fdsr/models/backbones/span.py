"""SPAN: attention without parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.autocast import full_precision
from fdsr.models.backbones.rep_sr import fuse_convolutions, rep_conv
from fdsr.models.contract import Backbone
from fdsr.registry import MODELS


class SPAB(nn.Module):
    """Swift parameter-free attention block: three convolutions that weight themselves.

    Equations (1) to (4) of the paper: with H = the convolutions of x, the attention is
    σ(H) - 0.5 and the result (H + x) · (σ(H) - 0.5).
    """

    def __init__(self, channels: int, fused: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            rep_conv(channels, channels, fused) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, h, w) to the result and to the first convolution's feature."""
        first = self.convs[0](x)
        second = self.convs[1](F.silu(first))
        third = self.convs[2](F.silu(second))
        return (third + x) * (torch.sigmoid(third) - 0.5), first


@MODELS.register_module()
class SPAN(Backbone):
    """Swift parameter-free attention network (Wan et al., CVPRW 2024).

    The winner of NTIRE's 2024 challenge on efficient super-resolution. The features of
    the first convolution, the first and last block, and the inside of the last block
    are concatenated before one pixel shuffle. Convolutions are :class:`RepConv`, whose
    branches contain the paper's.

    Args:
        scale: factor from LR to SR.
        channels: number of feature channels; the paper's is 52.
        blocks: number of attention blocks.
        fused: build plain convolutions, for inference.

    Raises:
        ValueError: an argument is below 1.
    """

    def __init__(self, scale: int = 8, channels: int = 48, blocks: int = 6,
                 fused: bool = False) -> None:
        super().__init__()
        if min(scale, channels, blocks) < 1:
            raise ValueError('SPAN: expected scale, channels and blocks of at least 1, '
                             f'found {scale}, {channels}, {blocks}.')
        self.scale, self.fused = scale, fused
        self.head = rep_conv(3, channels, fused)
        self.blocks = nn.ModuleList(SPAB(channels, fused) for _ in range(blocks))
        self.tail = rep_conv(channels, channels, fused)
        self.merge = nn.Conv2d(4 * channels, channels, 1)
        self.to_rgb = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        shallow = self.head(lr - 0.5)
        feature, early = shallow, None
        for block in self.blocks:
            feature, inside = block(feature)
            early = feature if early is None else early
        merged = self.merge(torch.cat(
            [shallow, self.tail(feature), early, inside], dim=1))
        return F.pixel_shuffle(full_precision(self.to_rgb(merged)), self.scale) + 0.5

    def fuse(self) -> SPAN:
        """Replaces the branches by the equivalent convolutions, in place."""
        return fuse_convolutions(self)
