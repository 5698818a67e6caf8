"""RCAN: a residual channel attention network."""

import torch
from torch import Tensor, nn

from fdsr.models.contract import Backbone
from fdsr.registry import MODELS

#: RGB, of images in [0, 1].
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255


class MeanShift(nn.Module):
    """Converts between [0, 1] and [0, 255] with the mean of DIV2K subtracted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            'mean', torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)

    def subtract(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to the inner range."""
        return (image - self.mean) * RANGE

    def add(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in the inner range to [0, 1], not clamped."""
        return image / RANGE + self.mean


@MODELS.register_module()
class RCAN(Backbone):
    """Residual channel attention network (Zhang et al., ECCV 2018).

    The layers compute on RGB in [0, 255] minus the mean of DIV2K, as in the paper.

    Args:
        scale: factor from LR to SR, a power of two.
        channels: number of feature channels.
        groups: number of residual groups.
        blocks: number of residual blocks per group.
        reduction: channel reduction inside the attention.

    Raises:
        ValueError: ``scale`` is not a power of two, or ``reduction`` leaves no channel.
    """

    def __init__(self, scale: int = 8, channels: int = 64, groups: int = 10,
                 blocks: int = 20, reduction: int = 16) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f'RCAN: scale must be a power of two, found {scale}.')
        if not 1 <= reduction <= channels:
            raise ValueError(
                f'RCAN: reduction must be between 1 and channels={channels}, found '
                f'{reduction}.')
        self.scale = scale
        self.mean_shift = MeanShift()
        self.head = _conv(3, channels)
        self.body = nn.ModuleList(
            ResidualGroup(channels, blocks, reduction) for _ in range(groups))
        self.body_conv = _conv(channels, channels)
        self.upsample = nn.Sequential()
        for _ in range(scale.bit_length() - 1):
            self.upsample.append(_conv(channels, 4 * channels))
            self.upsample.append(nn.PixelShuffle(2))
        self.to_rgb = _conv(channels, 3)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        shallow = self.head(self.mean_shift.subtract(lr))
        deep = shallow
        for group in self.body:
            deep = group(deep)
        deep = self.body_conv(deep) + shallow
        return self.mean_shift.add(self.to_rgb(self.upsample(deep)))


class ResidualGroup(nn.Module):
    """Attention blocks and a convolution with a residual connection."""

    def __init__(self, channels: int, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(AttentionBlock(channels, reduction) for _ in range(blocks)))
        self.conv = _conv(channels, channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        return self.conv(self.blocks(feature)) + feature


class AttentionBlock(nn.Module):
    """Conv–ReLU–Conv with channel attention and a residual connection."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, channels), nn.ReLU(), _conv(channels, channels))
        self.attention = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1), nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        change = self.body(feature)
        weights = torch.sigmoid(self.attention(change.mean((2, 3), keepdim=True)))
        return feature + weights * change


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)
