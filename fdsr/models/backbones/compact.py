"""A small network: deep where the picture is small, thin where it is large."""

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
    """Attention blocks at LR's size, then up-stages that get thinner.

    RCAN keeps 64 channels up to SR's size and has no non-linearity behind its
    up-sampling; here each doubling is followed by a block of its own, at fewer
    channels, so that what is drawn at SR's size is not only a linear map. What it
    computes is a change of the bicubically up-sampled LR.

    With the default sizes 1.34 M parameters and 2.5 GMACs from 32 to 256 px, a
    fortieth of ``DistilledStudent``'s.

    Args:
        scale: factor from LR to SR, a power of two.
        channels: of the features at LR's size.
        blocks: attention blocks at LR's size.
        stage_channels: of the features after each doubling, from coarse to fine.
        reduction: of the channels inside the attention.

    Raises:
        ValueError: the factor is no power of two, there is not one count of channels
            a doubling, or the reduction leaves no channel.
    """

    def __init__(self, scale: int = 8, channels: int = 64, blocks: int = 14,
                 stage_channels: Sequence[int] = (48, 32, 16),
                 reduction: int = 8) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(
                f'CompactSR: scale has to be a power of two, found {scale}.')
        if len(stage_channels) != scale.bit_length() - 1:
            raise ValueError(
                f'CompactSR: scale={scale} doubles {scale.bit_length() - 1} times, so '
                'stage_channels needs that many values; found '
                f'{list(stage_channels)}.')
        if not 1 <= reduction <= min([channels, *stage_channels]):
            raise ValueError(
                'CompactSR: reduction has to lie between 1 and the fewest channels '
                f'{min([channels, *stage_channels])}, found {reduction}.')
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
        """(B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped."""
        feature = self.head(lr - 0.5)
        feature = feature + self.body(feature)
        for stage in self.stages:
            feature = stage(feature)
        # in half precision a picture would keep less than its 8 bits
        with torch.autocast(lr.device.type, enabled=False):
            base = self.upsample(lr)
        return base + self.to_rgb(feature)


class _Doubling(nn.Module):
    """Convolve, double the sides by pixel shuffle, refine."""

    def __init__(self, in_channels: int, out_channels: int, reduction: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1), nn.PixelShuffle(2),
            nn.LeakyReLU(_SLOPE))
        self.refine = AttentionBlock(out_channels, reduction)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in, h, w) to (B, out, 2 · h, 2 · w)."""
        return self.refine(self.up(feature))
