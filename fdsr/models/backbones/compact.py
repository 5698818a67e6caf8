"""CompactSR: a small network that does most of its work at LR resolution."""

from typing import Sequence

import torch
from torch import Tensor, nn

from fdsr.models.backbones.rcan import AttentionBlock
from fdsr.models.contract import Backbone
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS

_SLOPE = 0.2


@MODELS.register_module()
class CompactSR(Backbone):
    """Attention blocks at LR resolution, then upsampling stages with fewer channels.

    RCAN keeps 64 channels up to SR resolution and has no non-linearity after its
    upsampling layers. Here an attention block with fewer channels follows each
    upsampling by 2, so the mapping stays non-linear at SR resolution. The network
    predicts the residual to the bicubically upsampled LR image.

    The default configuration has 1.34 M parameters and needs 2.5 GMACs from 32 to
    256 px, a fortieth of ``DistilledStudent``.

    Args:
        scale: factor from LR to SR, a power of two.
        channels: number of feature channels at LR resolution.
        blocks: number of attention blocks at LR resolution.
        stage_channels: number of feature channels after each upsampling by 2, coarse
            to fine.
        reduction: channel reduction inside the attention.

    Raises:
        ValueError: ``scale`` is not a power of two, ``stage_channels`` does not have
            one value per upsampling, or ``reduction`` leaves no channel.
    """

    def __init__(self, scale: int = 8, channels: int = 64, blocks: int = 14,
                 stage_channels: Sequence[int] = (48, 32, 16),
                 reduction: int = 8) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(
                f'CompactSR: scale must be a power of two, found {scale}.')
        if len(stage_channels) != scale.bit_length() - 1:
            raise ValueError(
                f'CompactSR: scale={scale} needs stage_channels with '
                f'{scale.bit_length() - 1} values, one per upsampling by 2; found '
                f'{list(stage_channels)}.')
        if not 1 <= reduction <= min([channels, *stage_channels]):
            raise ValueError(
                'CompactSR: reduction must be between 1 and the smallest number of '
                f'channels, {min([channels, *stage_channels])}, found {reduction}.')
        self.scale = scale
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(AttentionBlock(channels, reduction) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 3, padding=1))
        self.stages = nn.ModuleList()
        before = channels
        for after in stage_channels:
            self.stages.append(_Doubling(before, after, reduction))
            before = after
        self.to_rgb = nn.Conv2d(before, 3, 3, padding=1)
        self.upsample = BicubicUpsample(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        feature = self.head(lr - 0.5)
        feature = feature + self.body(feature)
        for stage in self.stages:
            feature = stage(feature)
        # half precision would lose some of the image's 8 bits
        with torch.autocast(lr.device.type, enabled=False):
            base = self.upsample(lr)
        return base + self.to_rgb(feature)


class _Doubling(nn.Module):
    """A convolution, upsampling by 2 with pixel shuffle, and an attention block."""

    def __init__(self, in_channels: int, out_channels: int, reduction: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1), nn.PixelShuffle(2),
            nn.LeakyReLU(_SLOPE))
        self.refine = AttentionBlock(out_channels, reduction)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, in, h, w) to (B, out, 2 · h, 2 · w)."""
        return self.refine(self.up(feature))
