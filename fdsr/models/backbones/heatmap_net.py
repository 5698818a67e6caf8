"""HeatmapNet: a small network from faces to landmark heatmaps."""

import torch.nn.functional as F
from torch import Tensor, nn

from fdsr.registry import MODELS

#: Factor from the side of the image to that of its heatmaps.
STRIDE = 4


@MODELS.register_module()
class HeatmapNet(nn.Module):
    """One hourglass (Newell et al. 2016) of narrow residual blocks.

    The counterpart of the distilled FAN of Kim et al. (BMVC 2019), which uses a thin
    network for the heatmaps of face SR. It is not an SR network: it has the traits of a
    backbone so that it is trained, saved, loaded and profiled like one. ``scale`` is 1,
    because it takes images of HR's size.

    Args:
        size: side of the faces that it is trained for, a multiple of 4.
        num_points: number of landmarks K.
        channels: number of feature channels.
        depth: number of times the hourglass halves the resolution.

    Raises:
        ValueError: an argument is not positive, or ``size`` is not a multiple of 4.
    """

    scale = 1

    def __init__(self, size: int = 128, num_points: int = 68, channels: int = 48,
                 depth: int = 3) -> None:
        super().__init__()
        if min(size, num_points, channels, depth) < 1 or size % STRIDE:
            raise ValueError(
                f'HeatmapNet: expected positive numbers and a size that {STRIDE} '
                f'divides, found size={size}, num_points={num_points}, '
                f'channels={channels}, depth={depth}.')
        self.size, self.num_points = size, num_points
        self.stem = nn.Sequential(
            *_layer(3, channels, stride=2), *_layer(channels, channels, stride=2))
        self.hourglass = Hourglass(channels, depth)
        self.head = nn.Sequential(
            *_layer(channels, channels, kernel=1), nn.Conv2d(channels, num_points, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Returns heatmaps (B, K, H / 4, W / 4) of (B, 3, H, W) RGB in [0, 1].

        A landmark is the maximum of its heatmap, near 1; values may be negative.
        """
        return self.head(self.hourglass(self.stem(2 * image - 1)))


class Hourglass(nn.Module):
    """Residual blocks at several resolutions, with a skip connection at each.

    Args:
        channels: number of feature channels.
        depth: number of halvings.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.skip, self.before, self.after = (Residual(channels) for _ in range(3))
        self.inner = Hourglass(channels, depth - 1) if depth > 1 else Residual(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        low = F.max_pool2d(feature, 2, ceil_mode=True)
        low = self.after(self.inner(self.before(low)))
        return self.skip(feature) + F.interpolate(low, size=feature.shape[-2:])


class Residual(nn.Module):
    """Two convolutions with batch norm, plus the input.

    Args:
        channels: number of feature channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_layer(channels, channels), *_layer(channels, channels)[:2])

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        return F.relu(self.body(feature) + feature)


def _layer(before: int, after: int, kernel: int = 3, stride: int = 1
           ) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(after), nn.ReLU()]
