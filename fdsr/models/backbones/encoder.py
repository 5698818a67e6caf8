"""Encoders: feature maps of an image at four scales."""

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

import torch
from torch import Tensor, nn

from fdsr.models.vgg import FrozenVGG, layer_channels
from fdsr.registry import MODELS


@dataclass(frozen=True)
class Layout:
    """Position of the encoder's taps.

    Args:
        reference_side: side of the SR image at which atoms have the release's sides.
        strides: image pixels per pixel of each map, finest first.
        taps: VGG layers of each architecture, finest first.
        unbiased: whether AdaIN uses the unbiased variance.
        only_side: the only SR side that the layout supports, None for any.
    """

    reference_side: int
    strides: tuple[int, ...]
    taps: Mapping[str, tuple[str, ...]]
    unbiased: bool = False
    only_side: int | None = None


_RELEASE_TAPS = {
    'vgg19': ('relu2_2', 'relu3_4', 'relu4_4', 'conv5_4'),
    'vgg16': ('relu2_2', 'relu3_3', 'relu4_3', 'conv5_3'),
}

#: ``B`` taps one level earlier than DFDNet's release, ``A`` taps where the release
#: does, ``dfdnet512`` reproduces the release exactly.
LAYOUTS: dict[str, Layout] = {
    'A': Layout(512, (2, 4, 8, 16), _RELEASE_TAPS),
    'B': Layout(256, (1, 2, 4, 8), {
        'vgg19': ('relu1_2', 'relu2_2', 'relu3_4', 'relu4_4'),
        'vgg16': ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3'),
    }),
    'dfdnet512': Layout(512, (2, 4, 8, 16), _RELEASE_TAPS, unbiased=True,
                        only_side=512),
}


def layout_of(name: str) -> Layout:
    """Returns the layout of a name.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in LAYOUTS:
        raise ValueError(
            f'Unknown layout {name!r}; expected one of {", ".join(LAYOUTS)}.')
    return LAYOUTS[name]


def build_encoder(config: Mapping[str, Any], layout: str) -> 'Encoder':
    """Builds a registered encoder.

    Args:
        config: ``type`` (default ``fdsr.FeatureEncoder``) and arguments.
        layout: position of the taps.

    Raises:
        TypeError: the type is not an :class:`Encoder`.
    """
    encoder = MODELS.build(
        {'type': 'fdsr.FeatureEncoder', **config, 'layout': layout})
    if not isinstance(encoder, Encoder):
        raise TypeError(
            f'encoder: expected a subclass of fdsr.models.backbones.Encoder, found '
            f'{type(encoder).__name__}.')
    return encoder


class Encoder(nn.Module):
    """Base class of encoders.

    Subclasses create ``self.net`` and call :meth:`freeze`. Register them in ``MODELS``;
    a config selects one with ``encoder=dict(type=...)``.

    Args:
        layout: position of the taps, see ``LAYOUTS``.

    Attributes:
        arch: name of the architecture, as dictionary files record it.
        net: the network; maps (B, 3, H, W) to ``{tap: feature map}``, finest first.
        channels: channels of the maps, finest first.
        frozen: whether the weights stay fixed.
        external_weights: file with the values of a frozen encoder, or None.
    """

    arch: str
    net: nn.Module
    channels: tuple[int, ...]
    frozen: bool
    external_weights: Any = None

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.strides = layout_of(layout).strides

    def freeze(self, frozen: bool) -> None:
        """Freezes the weights, or makes them trainable."""
        self.frozen = frozen
        self.net.requires_grad_(not frozen)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns the feature maps, finest first.

        Args:
            image: (B, 3, H, W) RGB in [0, 1].

        Returns:
            One (B, C, H / stride, W / stride) per tap.

        Raises:
            ValueError: a side is not a multiple of the largest stride.
        """
        deepest = self.strides[-1]
        if image.shape[-2] % deepest or image.shape[-1] % deepest:
            raise ValueError(
                f'Layout {self.layout} needs SR sides divisible by {deepest}, found '
                f'{image.shape[-2]}x{image.shape[-1]}.')
        return list(self.net(image).values())

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@MODELS.register_module()
class FeatureEncoder(Encoder):
    """VGG features (DFDNet; Jo et al. 2021).

    Args:
        arch: ``vgg19`` or ``vgg16``.
        layout: position of the taps, see ``LAYOUTS``.
        pretrained: ``'imagenet'`` for the weights known to ``fdsr.weights``, the path
            of a file, or None for random weights, which are announced.
        sha256: hash of the file in ``pretrained``, if it is not a known file.
        frozen: keep the weights fixed.

    Raises:
        ValueError: unknown architecture or layout.
        FileNotFoundError: the weights are not available locally.
    """

    def __init__(self, arch: str = 'vgg19', layout: str = 'B',
                 pretrained: str | None = 'imagenet', sha256: str | None = None,
                 frozen: bool = True) -> None:
        super().__init__(layout)
        if arch not in _RELEASE_TAPS:
            raise ValueError(
                f'Unknown encoder {arch!r}; expected {" or ".join(_RELEASE_TAPS)}.')
        self.arch = arch
        with _fixed_seed():
            self.net = FrozenVGG(arch, layout_of(layout).taps[arch], pretrained, sha256)
        self.freeze(frozen)
        if self.frozen:
            self.external_weights = self.net.external_weights
        self.net.external_weights = None  # recorded for this module
        self.channels = tuple(layer_channels(arch, tap) for tap in self.net.taps)


@MODELS.register_module()
class TinyEncoder(Encoder):
    """Four strided convolution stages with random weights.

    It needs no weights file: tests and quick benchmarks use it in place of VGG.

    Args:
        layout: position of the taps; its strides are the stages' strides.
        frozen: keep the weights fixed.
    """

    arch = 'tiny'
    channels = (16, 24, 32, 48)

    def __init__(self, layout: str = 'B', frozen: bool = False) -> None:
        super().__init__(layout)
        with _fixed_seed():
            self.net = _TinyFeatures(self.channels, self.strides)
        self.freeze(frozen)


class _TinyFeatures(nn.Module):
    """One tap per stage, see :class:`TinyEncoder`."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict()
        before, stride_before = 3, 1
        for level, (after, stride) in enumerate(zip(channels, strides)):
            self.stages[f'stage{level}'] = nn.Sequential(
                nn.Conv2d(before, after, 3, stride // stride_before, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(after, after, 3, padding=1),
                nn.LeakyReLU(0.2))
            before, stride_before = after, stride

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps (B, 3, H, W) RGB in [0, 1] to {tap: (B, C, h, w)}."""
        maps, feature = {}, image * 2 - 1
        for tap, stage in self.stages.items():
            feature = maps[tap] = stage(feature)
        return maps


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """Makes the random weights reproducible.

    A dictionary built with a random encoder then matches a network trained with one.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
