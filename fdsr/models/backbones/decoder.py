"""DFDNet's decoder: dilated bottleneck, styled upsampling stages and tail."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdsr.models.autocast import full_precision
from fdsr.models.spectral_norm import spectral_norm

_SLOPE = 0.2
#: DFDNet applies LeakyReLU(0.2) twice in a row.
_TWICE_SLOPE = _SLOPE**2
_LAST_CHANNELS = 64


def sn_conv(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Module:
    """Returns a 3×3 convolution with spectral norm that preserves height and width."""
    return spectral_norm(nn.Conv2d(
        in_channels, out_channels, 3, padding=dilation, dilation=dilation))


class DilatedBottleneck(nn.Module):
    """DFDNet's MSDilateBlock: four dilated branches with a residual connection.

    The branches have dilations 4, 3, 2 and 1. A convolution fuses them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                sn_conv(channels, channels, dilation), nn.LeakyReLU(_SLOPE),
                sn_conv(channels, channels, dilation)) for dilation in (4, 3, 2, 1))
        self.join = sn_conv(4 * channels, channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        joined = torch.cat([branch(feature) for branch in self.branches], dim=1)
        return self.join(joined) + feature


class BinomialBlur(nn.Module):
    """Depth-wise 3×3 binomial blur with zero padding.

    Args:
        channels: number of channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(row, row).repeat(channels, 1, 1, 1) / 16
        self.register_buffer('kernel', kernel, persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        kernel = self.kernel.to(feature.dtype)
        return F.conv2d(feature, kernel, padding=1, groups=len(self.kernel))


class StyledUpStage(nn.Module):
    """One decoder stage: modulates the feature with an encoder map and upsamples it.

    The stage blurs and convolves the feature, applies a scale and a shift predicted
    from the encoder's map, upsamples bilinearly and convolves.

    Args:
        in_channels: number of channels of the decoder's feature.
        style_channels: number of channels of the encoder's map of the same size.
        out_channels: number of channels of the result.
        factor: upsampling factor; 1 keeps the size.
    """

    def __init__(self, in_channels: int, style_channels: int, out_channels: int,
                 factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Sequential(
            BinomialBlur(in_channels), sn_conv(in_channels, out_channels),
            nn.LeakyReLU(_TWICE_SLOPE))
        self.scale = nn.Sequential(
            sn_conv(style_channels, out_channels), nn.LeakyReLU(_SLOPE),
            sn_conv(out_channels, out_channels))
        self.shift = nn.Sequential(
            sn_conv(style_channels, out_channels), nn.LeakyReLU(_SLOPE),
            sn_conv(out_channels, out_channels), nn.Sigmoid())
        self.up = nn.Sequential(sn_conv(out_channels, out_channels),
                                nn.LeakyReLU(_SLOPE))

    def forward(self, feature: Tensor, style: Tensor) -> Tensor:
        """Maps (B, in, H, W) and (B, style, H, W) to (B, out, H · factor, W · factor).
        """
        feature = self.conv(feature)
        feature = feature * self.scale(style) + self.shift(style)
        if self.factor > 1:
            feature = F.interpolate(
                feature, scale_factor=self.factor, mode='bilinear',
                align_corners=False)
        return self.up(feature)


class ResidualBlock(nn.Module):
    """Conv–LeakyReLU–Conv with a residual connection, without normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        return feature + self.body(feature)


class StyledDecoder(nn.Module):
    """Decodes the encoder's maps to an image.

    Args:
        channels: number of channels of the encoder's maps, finest first.
        strides: strides of the encoder's maps, finest first.
        width: factor for the decoder's channels; 1 is DFDNet's size. If it changes
            the number of channels, a 1×1 convolution adapts the deepest map.

    Raises:
        ValueError: ``width`` is not positive.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int],
                 width: float = 1.0) -> None:
        super().__init__()
        if width <= 0:
            raise ValueError(f'width must be positive, found {width}.')
        deepest = _scaled(channels[-1], width)
        self.entry = (nn.Identity() if deepest == channels[-1] else
                      nn.Conv2d(channels[-1], deepest, 1))
        self.bottleneck = DilatedBottleneck(deepest)
        finer_strides = [1, *strides[:-1]]
        finer_channels = [min(channels[0], _LAST_CHANNELS), *channels[:-1]]
        self.stages = nn.ModuleList()
        before = deepest
        for level in reversed(range(len(channels))):
            after = _scaled(finer_channels[level], width)
            self.stages.append(StyledUpStage(
                before, channels[level], after,
                factor=strides[level] // finer_strides[level]))
            before = after
        self.tail = nn.Sequential(
            sn_conv(before, before), nn.LeakyReLU(_SLOPE), ResidualBlock(before),
            ResidualBlock(before))
        self.to_rgb = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, deepest: Tensor, styles: List[Tensor]) -> Tensor:
        """Returns the decoded image.

        Args:
            deepest: the encoder's deepest map, (B, C, h, w).
            styles: the maps that modulate the stages, finest first.

        Returns:
            (B, 3, H, W) RGB in (0, 1).
        """
        feature = self.bottleneck(self.entry(deepest))
        for stage, style in zip(self.stages, reversed(styles)):
            feature = stage(feature, style)
        return (torch.tanh(full_precision(self.to_rgb(self.tail(feature)))) + 1) / 2


def _scaled(channels: int, width: float) -> int:
    return max(8, round(channels * width))
