"""The encoder that teacher and student share: VGG features at four scales."""

import hashlib
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from fdsr.models.vgg import FrozenVGG, layer_channels

_TINY_CHANNELS = (16, 24, 32, 48)


@dataclass(frozen=True)
class Layout:
    """Where the encoder is tapped.

    Args:
        reference_side: side of the SR picture at which atoms have the release's sides.
        strides: pixels of the picture per pixel of each map, finest first.
        taps: VGG layers of each architecture, finest first.
        unbiased: unbiased variance in AdaIN.
        only_side: the only side that the layout is defined for, if there is one.
    """

    reference_side: int
    strides: Tuple[int, ...]
    taps: Dict[str, Tuple[str, ...]]
    unbiased: bool = False
    only_side: Optional[int] = None


_RELEASE_TAPS = {
    'vgg19': ('relu2_2', 'relu3_4', 'relu4_4', 'conv5_4'),
    'vgg16': ('relu2_2', 'relu3_3', 'relu4_3', 'conv5_3'),
}

#: ``B`` taps one level earlier than DFDNet's release, ``A`` taps where the release
#: does, ``dfdnet512`` is the release to the letter.
LAYOUTS: Dict[str, Layout] = {
    'A': Layout(512, (2, 4, 8, 16), _RELEASE_TAPS),
    'B': Layout(256, (1, 2, 4, 8), {
        'vgg19': ('relu1_2', 'relu2_2', 'relu3_4', 'relu4_4'),
        'vgg16': ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3'),
    }),
    'dfdnet512': Layout(512, (2, 4, 8, 16), _RELEASE_TAPS, unbiased=True,
                        only_side=512),
}


def layout_of(name: str) -> Layout:
    """The layout of that name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in LAYOUTS:
        raise ValueError(f'Unknown layout {name!r}; there are {", ".join(LAYOUTS)}.')
    return LAYOUTS[name]


class FeatureEncoder(nn.Module):
    """Feature maps of a picture, finest first.

    Args:
        arch: ``vgg19``, ``vgg16``, or ``tiny``, a small one trained from scratch.
        layout: where to tap, see ``LAYOUTS``.
        pretrained: ``'imagenet'`` for the weights that ``fdsr.weights`` knows, the
            path of a file with them, or None for random ones, which are announced.
            ``tiny`` takes no weights.
        sha256: hash of the file in ``pretrained``, when it is not a known one.
        frozen: keep the weights. Default: True for VGG, False for ``tiny``.

    Attributes:
        channels: of the maps, finest first.
        external_weights: the file that a frozen encoder's values come from, or None.

    Raises:
        ValueError: unknown architecture or layout.
        FileNotFoundError: the weights are not on this machine.
    """

    def __init__(self, arch: str = 'vgg19', layout: str = 'B',
                 pretrained: Optional[str] = 'imagenet',
                 sha256: Optional[str] = None,
                 frozen: Optional[bool] = None) -> None:
        super().__init__()
        if arch not in (*_RELEASE_TAPS, 'tiny'):
            raise ValueError(
                f'Unknown encoder {arch!r}; there are vgg19, vgg16 and tiny.')
        self.arch, self.layout = arch, layout
        self.frozen = arch != 'tiny' if frozen is None else frozen
        self.external_weights = None
        # Random weights start the same everywhere, so that a dictionary built with
        # them fits the network that is trained from them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if arch == 'tiny':
                self.net = TinyFeatures(layout_of(layout).strides)
            else:
                self.net = FrozenVGG(
                    arch, layout_of(layout).taps[arch], pretrained, sha256)
                self.external_weights = (
                    self.net.external_weights if self.frozen else None)
        self.net.external_weights = None  # this module speaks for it
        self.channels: Tuple[int, ...] = (
            _TINY_CHANNELS if arch == 'tiny' else
            tuple(layer_channels(arch, tap) for tap in self.net.taps))
        self._set_trainable(not self.frozen)

    def _set_trainable(self, trainable: bool) -> None:
        for parameter in self.net.parameters():
            if trainable:  # FrozenVGG shares its values with others of its kind
                parameter.data = parameter.data.clone()
            parameter.requires_grad_(trainable)

    def forward(self, image: Tensor) -> List[Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to one (B, C, H / stride, W / stride) a tap.

        Raises:
            ValueError: a side is no multiple of the deepest stride.
        """
        deepest = layout_of(self.layout).strides[-1]
        if image.shape[-2] % deepest or image.shape[-1] % deepest:
            raise ValueError(
                f'Layout {self.layout} needs SR sides divisible by {deepest}, found '
                f'{image.shape[-2]}x{image.shape[-1]}.')
        maps = self.net(image)
        return [maps[tap] for tap in self.net.taps]

    def fingerprint(self) -> str:
        """SHA-256 of the weights, wherever they came from."""
        digest = hashlib.sha256()
        for name, value in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def same_frozen_as(self, other: nn.Module) -> bool:
        """Whether the other encoder computes the same maps and always will."""
        return (isinstance(other, FeatureEncoder) and self.frozen and other.frozen
                and (self.arch, self.layout) == (other.arch, other.layout)
                and self.fingerprint() == other.fingerprint())


class TinyFeatures(nn.Module):
    """A small stack of strided convolutions, one tap a stage.

    Args:
        strides: of the maps, finest first.
    """

    def __init__(self, strides: Tuple[int, ...]) -> None:
        super().__init__()
        self.taps = tuple(f'stage{level}' for level in range(len(strides)))
        self.stages = nn.ModuleDict()
        before, stride_before = 3, 1
        for tap, channels, stride in zip(self.taps, _TINY_CHANNELS, strides):
            self.stages[tap] = nn.Sequential(
                nn.Conv2d(before, channels, 3, stride // stride_before, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.LeakyReLU(0.2))
            before, stride_before = channels, stride

    def forward(self, image: Tensor) -> Dict[str, Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to {tap: (B, C, h, w)}."""
        maps, feature = {}, image * 2 - 1
        for tap, stage in self.stages.items():
            feature = stage(feature)
            maps[tap] = feature
        return maps
