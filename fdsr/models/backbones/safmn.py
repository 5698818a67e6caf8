"""SAFMN: modulation by features of several resolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.contract import Backbone
from fdsr.registry import MODELS


class _ChannelNorm(nn.Module):
    """Layer normalization over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        centred = feature - feature.mean(1, keepdim=True)
        unit = centred * (centred.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        return unit * self.weight[:, None, None] + self.bias[:, None, None]


class SpatialModulation(nn.Module):
    """Spatially-adaptive feature modulation (section 3.1).

    The channels are divided into four groups. Group i is max-pooled to 1 / 2^i of the
    size, filtered with a depthwise convolution and upsampled; the groups together
    modulate the input.

    Args:
        channels: number of channels, divisible by ``levels``.
        levels: number of groups.
    """

    def __init__(self, channels: int, levels: int = 4) -> None:
        super().__init__()
        group = channels // levels
        self.filters = nn.ModuleList(
            nn.Conv2d(group, group, 3, padding=1, groups=group) for _ in range(levels))
        self.merge = nn.Conv2d(channels, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        height, width = (int(side) for side in feature.shape[-2:])
        levels = []
        for level, (group, conv) in enumerate(
                zip(feature.chunk(len(self.filters), 1), self.filters)):
            step = 2**level
            small = (max(height // step, 1), max(width // step, 1))
            if level == 0:
                levels.append(conv(group))
            elif (small[0] * step, small[1] * step) == (height, width):
                # by a factor, so that an ONNX file is not tied to this size
                levels.append(F.interpolate(
                    conv(F.max_pool2d(group, step)), scale_factor=step))
            else:
                pooled = F.adaptive_max_pool2d(group, small)
                levels.append(F.interpolate(conv(pooled), size=(height, width)))
        return F.gelu(self.merge(torch.cat(levels, 1))) * feature


class _Block(nn.Module):
    """Modulation, then a convolutional channel mixer, each with a residual."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(_ChannelNorm(channels) for _ in range(2))
        self.modulation = SpatialModulation(channels)
        self.mixer = nn.Sequential(
            nn.Conv2d(channels, growth * channels, 3, padding=1), nn.GELU(),
            nn.Conv2d(growth * channels, channels, 1))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        feature = feature + self.modulation(self.norms[0](feature))
        return feature + self.mixer(self.norms[1](feature))


@MODELS.register_module()
class SAFMN(Backbone):
    """Spatially-adaptive feature modulation network (Sun et al., ICCV 2023).

    Args:
        scale: factor from LR to SR.
        channels: number of feature channels, divisible by 4.
        blocks: number of blocks.
        growth: channels inside the mixer in multiples of ``channels``.

    Raises:
        ValueError: ``channels`` is not divisible by 4, or an argument is below 1.
    """

    def __init__(self, scale: int = 8, channels: int = 36, blocks: int = 8,
                 growth: int = 2) -> None:
        super().__init__()
        if min(scale, blocks, growth) < 1 or channels < 4 or channels % 4:
            raise ValueError(
                'SAFMN: expected channels divisible by 4, and scale, blocks and growth '
                f'of at least 1, found {channels}, {scale}, {blocks}, {growth}.')
        self.scale = scale
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(
            *(_Block(channels, growth) for _ in range(blocks)))
        self.to_rgb = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        shallow = self.head(lr)
        feature = self.blocks(shallow) + shallow
        return F.pixel_shuffle(self.to_rgb(feature), self.scale)
