"""SRFBN: a recurrent network with a feedback block."""

from typing import List

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.backbones.rcan import MeanShift
from fdsr.models.contract import Backbone
from fdsr.registry import MODELS

_PADDING = 2
_SLOPE = 0.2


@MODELS.register_module()
class SRFBN(Backbone):
    """Super-resolution feedback network (Li et al., CVPR 2019).

    The layers compute on RGB in [0, 255] minus the mean of DIV2K. The hidden state is a
    local variable, so the module keeps no state between calls.

    Args:
        scale: integer factor from LR to SR; the kernel size of strided convolutions is
            ``scale + 4``.
        channels: number of feature channels.
        steps: number of iterations of the feedback block.
        groups: number of projection groups in the feedback block.

    Raises:
        ValueError: ``scale`` is below 2, or ``steps`` or ``groups`` is below 1.
    """

    def __init__(self, scale: int = 8, channels: int = 64, steps: int = 4,
                 groups: int = 6) -> None:
        super().__init__()
        if scale < 2 or steps < 1 or groups < 1:
            raise ValueError(
                'SRFBN: scale must be at least 2, steps and groups at least 1; found '
                f'{scale}, {steps} and {groups}.')
        self.scale, self.steps = scale, steps
        self.mean_shift = MeanShift()
        self.conv_in = _active(nn.Conv2d(3, 4 * channels, 3, padding=1))
        self.feat_in = _active(nn.Conv2d(4 * channels, channels, 1))
        self.block = FeedbackBlock(channels, groups, scale)
        self.out = _up(channels, scale)
        self.to_rgb = nn.Conv2d(channels, 3, 3, padding=1)

    def forward_steps(self, lr: Tensor) -> List[Tensor]:
        """Returns the SR image after each step; the training loss sums over them.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].

        Returns:
            ``steps`` tensors (B, 3, h · scale, w · scale), RGB, not clamped.
        """
        shifted = self.mean_shift.subtract(lr)
        skip = F.interpolate(
            shifted, scale_factor=self.scale, mode='bilinear', align_corners=False)
        feature = self.feat_in(self.conv_in(shifted))
        hidden, outputs = feature, []
        for _ in range(self.steps):
            hidden = self.block(feature, hidden)
            outputs.append(self.mean_shift.add(skip + self.to_rgb(self.out(hidden))))
        return outputs

    def forward(self, lr: Tensor, all_steps: bool = False) -> Tensor | List[Tensor]:
        """Returns the last step's image, or those of all steps, not clamped.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            all_steps: return ``forward_steps(lr)``.
        """
        outputs = self.forward_steps(lr)
        return outputs if all_steps else outputs[-1]


class FeedbackBlock(nn.Module):
    """Up- and down-projections with dense connections (section 3.3).

    Args:
        channels: number of feature channels.
        groups: number of pairs of an up- and a down-projection.
        scale: factor between the two resolutions.
    """

    def __init__(self, channels: int, groups: int, scale: int) -> None:
        super().__init__()
        self.compress_in = _compress(2, channels)
        self.up = nn.ModuleList(_up(channels, scale) for _ in range(groups))
        self.down = nn.ModuleList(_down(channels, scale) for _ in range(groups))
        # the first group has a single input map and needs no compression
        self.up_compress = nn.ModuleList(
            _compress(group + 1, channels) for group in range(1, groups))
        self.down_compress = nn.ModuleList(
            _compress(group + 1, channels) for group in range(1, groups))
        self.compress_out = _compress(groups, channels)

    def forward(self, feature: Tensor, hidden: Tensor) -> Tensor:
        """Returns the next hidden state.

        Args:
            feature: feature of the LR image, (B, C, h, w).
            hidden: hidden state of the previous step, (B, C, h, w).
        """
        low = [self.compress_in(torch.cat([feature, hidden], dim=1))]
        high: List[Tensor] = []
        for group, (up, down) in enumerate(zip(self.up, self.down)):
            high.append(up(_joined(low, self.up_compress, group)))
            low.append(down(_joined(high, self.down_compress, group)))
        return self.compress_out(torch.cat(low[1:], dim=1))


def _joined(maps: List[Tensor], compress: nn.ModuleList, group: int) -> Tensor:
    return compress[group - 1](torch.cat(maps, dim=1)) if group else maps[0]


def _active(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.PReLU(init=_SLOPE))


def _compress(maps: int, channels: int) -> nn.Sequential:
    return _active(nn.Conv2d(maps * channels, channels, 1))


def _up(channels: int, scale: int) -> nn.Sequential:
    return _active(nn.ConvTranspose2d(
        channels, channels, scale + 2 * _PADDING, scale, _PADDING))


def _down(channels: int, scale: int) -> nn.Sequential:
    return _active(nn.Conv2d(
        channels, channels, scale + 2 * _PADDING, scale, _PADDING))
