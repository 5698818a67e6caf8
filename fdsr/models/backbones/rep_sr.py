"""RepSR: small students whose convolutions fuse for inference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.contract import Backbone
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS

_SLOPE = 0.1
_BRANCHES = ('.point', '.expand', '.middle', '.reduce')


class RepConv(nn.Module):
    """A 3×3 convolution that trains as the sum of three linear branches.

    The branches are a 3×3 convolution, a 1×1 convolution, and a 1×1 → 3×3 → 1×1 chain
    with ``expansion`` times the channels, as in SPAN's Conv3XC (Wan et al., CVPRW 2024)
    and ECBSR (Zhang et al., ACM MM 2021). The branches have no inner bias, so their sum
    is exactly one 3×3 convolution with zero padding. Training merges the kernels first,
    which costs a few percent of an iteration, and not the pixels, which would cost
    several times the plain convolution.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        expansion: channels of the chain in multiples of ``in_channels``.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int = 2) -> None:
        super().__init__()
        inner = expansion * in_channels
        plain = nn.Conv2d(in_channels, out_channels, 3)
        self.weight, self.bias = plain.weight, plain.bias
        self.point = nn.Parameter(torch.zeros(out_channels, in_channels))
        self.expand = nn.Parameter(torch.randn(inner, in_channels) * in_channels**-0.5)
        self.middle = nn.Parameter(
            torch.randn(inner, inner, 3, 3) * (9 * inner)**-0.5)
        self.reduce = nn.Parameter(torch.zeros(out_channels, inner))

    def kernel(self) -> Tensor:
        """Returns the merged kernel, (out, in, 3, 3)."""
        chain = torch.einsum('om,mnyx->onyx', self.reduce, self.middle)
        chain = torch.einsum('onyx,ni->oiyx', chain, self.expand)
        return self.weight + chain + F.pad(self.point[:, :, None, None], (1, 1, 1, 1))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, in, h, w) to (B, out, h, w)."""
        return F.conv2d(feature, self.kernel(), self.bias, padding=1)

    @torch.no_grad()
    def fuse(self) -> nn.Conv2d:
        """Returns the equivalent convolution."""
        out_channels, in_channels = self.weight.shape[:2]
        fused = nn.Conv2d(in_channels, out_channels, 3, padding=1).to(self.weight)
        fused.weight.copy_(self.kernel())
        fused.bias.copy_(self.bias)
        return fused


def rep_conv(in_channels: int, out_channels: int, fused: bool) -> nn.Module:
    """Returns a RepConv, or a plain 3×3 convolution for a fused network."""
    if fused:
        return nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return RepConv(in_channels, out_channels)


def fuse_convolutions(network: nn.Module) -> nn.Module:
    """Replaces every RepConv by the equivalent convolution, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, RepConv):
                setattr(module, name, child.fuse())
    network.fused = True
    return network


class _Block(nn.Module):
    """Two convolutions with a residual connection and a gate per channel."""

    def __init__(self, channels: int, fused: bool) -> None:
        super().__init__()
        self.first = rep_conv(channels, channels, fused)
        self.second = rep_conv(channels, channels, fused)

    def forward(self, feature: Tensor, gate: Tensor | None = None) -> Tensor:
        """Maps (B, C, h, w) to the same shape; ``gate`` is (B, C, 1, 1)."""
        residual = self.second(F.leaky_relu(self.first(feature), _SLOPE))
        return feature + (residual if gate is None else residual * gate)


class _Stage(nn.Module):
    """Upsampling by 2 with pixel shuffle, then blocks with fewer channels."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int,
                 fused: bool) -> None:
        super().__init__()
        self.up = rep_conv(in_channels, 4 * out_channels, fused)
        self.blocks = nn.Sequential(
            *(_Block(out_channels, fused) for _ in range(blocks)))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, in, h, w) to (B, out, 2 · h, 2 · w)."""
        feature = F.leaky_relu(F.pixel_shuffle(self.up(feature), 2), _SLOPE)
        return self.blocks(feature)


class _Context(nn.Module):
    """Sees the whole face at a quarter of LR's size, where a channel costs little.

    Returns a feature to add at LR's size, and a gate for each channel of each block:
    both let the convolutions depend on the degradation, which the mean and the standard
    deviation of the features reveal.
    """

    def __init__(self, channels: int, inner: int, blocks: int, gates: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.Conv2d(channels, inner, 3, stride=2, padding=1)])
        self.blocks = nn.Sequential(*(_Block(inner, True) for _ in range(blocks)))
        self.to_feature = nn.Conv2d(inner, channels, 1)
        self.code = nn.Linear(2 * channels + inner, channels)
        self.to_gates = nn.Linear(channels, gates)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, h, w) to a feature of the same shape and gates (B, G, 1, 1)."""
        small = feature
        for conv in self.down:
            small = F.leaky_relu(conv(small), _SLOPE)
        small = self.blocks(small)
        mean = feature.mean((2, 3), keepdim=True)
        deviation = (feature - mean).square().mean((2, 3)).add(1e-6).sqrt()
        code = torch.cat([mean.flatten(1), deviation, small.mean((2, 3))], 1)
        gates = self.to_gates(F.leaky_relu(self.code(code), _SLOPE))
        large = F.interpolate(self.to_feature(small), size=feature.shape[-2:],
                              mode='bilinear', align_corners=False)
        return large, 2 * torch.sigmoid(gates)[:, :, None, None]


def _block_of(key: str) -> tuple[str, int]:
    """Returns the list of blocks that a value belongs to, or '', and the block's index.
    """
    found = re.match(r'(body|stages\.\d+\.blocks)\.(\d+)\.', key)
    return (found[1], int(found[2])) if found else ('', 0)


@MODELS.register_module()
class RepSR(Backbone):
    """Re-parameterised residual blocks at LR's size with a view of the whole face.

    It follows what efficient super-resolution has found (NTIRE's ESR challenges):
    convolutions with extra linear branches in training that fuse into one for
    inference, nearly all work at LR's size, no layer at SR's size, and a bicubic base
    to which the network adds the residual. Two additions are for faces: a branch at a
    quarter of LR's size sees the whole face, and its global statistics gate the blocks,
    so that one network can treat clean and degraded images differently.

    The defaults are the size *small*: 1.1 GMACs from 32 to 256 px.

    Args:
        scale: factor from LR to SR, a power of two, at least 2.
        channels: number of feature channels at LR's size.
        blocks: number of residual blocks at LR's size.
        stage_channels: number of feature channels after each upsampling by 2 but the
            last, coarse to fine.
        stage_blocks: number of residual blocks after each of these upsamplings.
        context_channels: number of channels at a quarter of LR's size.
        context_blocks: number of residual blocks there.
        fused: build plain convolutions, for inference; see :meth:`fuse`.

    Raises:
        ValueError: ``scale`` is not a power of two, or ``stage_channels`` or
            ``stage_blocks`` does not have one value per upsampling but the last.
    """

    def __init__(self, scale: int = 8, channels: int = 64, blocks: int = 8,
                 stage_channels: Sequence[int] = (32, 16),
                 stage_blocks: Sequence[int] = (2, 1),
                 context_channels: int = 96, context_blocks: int = 3,
                 fused: bool = False) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f'RepSR: scale must be a power of two, found {scale}.')
        for name, values in (('stage_channels', stage_channels),
                             ('stage_blocks', stage_blocks)):
            if len(values) != scale.bit_length() - 2:
                raise ValueError(
                    f'RepSR: scale={scale} needs {name} with {scale.bit_length() - 2} '
                    'values, one per upsampling by 2 but the last; found '
                    f'{list(values)}.')
        self.scale, self.fused = scale, fused
        self.head = rep_conv(3, channels, fused)
        self.context = _Context(
            channels, context_channels, context_blocks, blocks * channels)
        self.body = nn.ModuleList(_Block(channels, fused) for _ in range(blocks))
        widths = [channels, *stage_channels]
        self.stages = nn.Sequential(*(
            _Stage(before, after, count, fused)
            for before, after, count in zip(widths, stage_channels, stage_blocks)))
        self.to_rgb = rep_conv(widths[-1], 12, fused)
        self.upsample = BicubicUpsample(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, h · scale, w · scale), not clamped.
        """
        feature = F.leaky_relu(self.head(lr - 0.5), _SLOPE)
        context, gates = self.context(feature)
        shallow, feature = feature, feature + context
        for block, gate in zip(self.body, gates.chunk(len(self.body), 1)):
            feature = block(feature, gate)
        residual = F.pixel_shuffle(self.to_rgb(self.stages(feature + shallow)), 2)
        # half precision would lose some of the image's 8 bits
        with torch.autocast(lr.device.type, enabled=False):
            return self.upsample(lr) + residual

    def start_values(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Completes the values of a fused or a shallower network.

        Args:
            values: state dict of a RepSR with the same channels, trained or fused, with
                as many blocks or fewer.

        Returns:
            Values with which this network computes the same: extra branches and blocks
            add zero until they are trained. Anything else that is missing stays so.
        """
        complete = dict(values)
        depths = Counter(blocks for blocks, _ in {*map(_block_of, values)})
        fused = not any(key.endswith('.middle') for key in values)
        for key, own in self.state_dict().items():
            blocks, index = _block_of(key)
            new = blocks and index >= depths[blocks]
            if new or fused and key.endswith(_BRANCHES):
                # zeros here only: a chain of zeros would never receive a gradient
                adds = key.endswith(('.point', '.reduce')) or (
                    new and key.endswith(('.second.weight', '.second.bias')))
                complete[key] = torch.zeros_like(own) if adds else own
            elif '.to_gates.' in key and key in values and (
                    values[key].shape[1:] == own.shape[1:]):
                complete[key] = torch.cat([values[key], own[len(values[key]):]])
        return complete

    def fuse(self) -> RepSR:
        """Replaces the branches by the equivalent convolutions, in place."""
        return fuse_convolutions(self)
