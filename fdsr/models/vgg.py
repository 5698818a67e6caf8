"""VGG-16 and VGG-19 feature stacks whose layers have names: conv1_1, relu1_1, pool1.

One place for the encoder of the restorers and for the perceptual loss. The children
of a stack carry the layers' names, so that a tap is a module path.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Dict, Iterable, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from fdsr.weights import ExternalWeights, announce_random, vgg_state_dict

# Convolutions of each stage; a 2×2 max pooling ends it.
_STAGES = {'vgg16': (2, 2, 3, 3, 3), 'vgg19': (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def vgg_layer_names(arch: str) -> Tuple[str, ...]:
    """Returns the layers' names; the position of each is torchvision's index.

    Args:
        arch: 'vgg16' or 'vgg19'.

    Returns:
        ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1', ..., 'pool5').

    Raises:
        KeyError: no such architecture.
    """
    if arch not in _STAGES:
        raise KeyError(
            f'{arch!r} is no VGG that is known here; expected one of '
            f'{sorted(_STAGES)}.')
    names = []
    for stage, convs in enumerate(_STAGES[arch], start=1):
        for conv in range(1, convs + 1):
            names += [f'conv{stage}_{conv}', f'relu{stage}_{conv}']
        names.append(f'pool{stage}')
    return tuple(names)


def _check_layer(arch: str, name: str) -> int:
    names = vgg_layer_names(arch)
    if name not in names:
        raise KeyError(
            f'{arch} has no layer {name!r}; expected one of {", ".join(names)}.')
    return names.index(name)


def layer_channels(arch: str, name: str) -> int:
    """Returns the channels of a named layer's output.

    Raises:
        KeyError: no such architecture or layer.
    """
    _check_layer(arch, name)
    return _CHANNELS[_stage(name) - 1]


def _stage(name: str) -> int:
    return int(name[4])  # 'conv', 'relu' and 'pool' have four letters


def build_vgg_features(arch: str, upto: str) -> nn.Sequential:
    """Builds the stack from the first layer to a named one, included.

    Args:
        arch: 'vgg16' or 'vgg19'.
        upto: the last layer, e.g. 'relu4_1'.

    Returns:
        A stack with PyTorch's default initialisation, children named by layer. No
        ReLU works in place, so that the output of a convolution before its ReLU can
        be tapped.

    Raises:
        KeyError: no such architecture or layer.
    """
    layers, channels = OrderedDict(), 3
    for name in vgg_layer_names(arch)[:_check_layer(arch, upto) + 1]:
        if name.startswith('conv'):
            width = _CHANNELS[_stage(name) - 1]
            layers[name] = nn.Conv2d(channels, width, 3, padding=1)
            channels = width
        elif name.startswith('relu'):
            layers[name] = nn.ReLU(inplace=False)
        else:
            layers[name] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def named_vgg_state_dict(
    arch: str, upto: str, state_dict: Dict[str, Tensor],
) -> Dict[str, Tensor]:
    """Renames torchvision's 'features.0.weight' to 'conv1_1.weight', and so on.

    Args:
        arch: 'vgg16' or 'vgg19'.
        upto: the last layer that is kept.
        state_dict: torchvision's names, as `fdsr.weights.vgg_state_dict` returns.

    Returns:
        The state dict of `build_vgg_features(arch, upto)`; the tensors are shared.
    """
    names = vgg_layer_names(arch)[:_check_layer(arch, upto) + 1]
    return {
        f'{name}.{part}': state_dict[f'features.{index}.{part}']
        for index, name in enumerate(names) if name.startswith('conv')
        for part in ('weight', 'bias')}


def vgg_features_from(
    arch: str, upto: str, state_dict: Dict[str, Tensor],
) -> nn.Sequential:
    """Builds a stack that holds a copy of given values.

    No random number is drawn on the way, so that a run with pre-trained weights does
    not depend on how many of them were built.

    Args:
        arch: 'vgg16' or 'vgg19'.
        upto: the last layer, included.
        state_dict: torchvision's names, as `fdsr.weights.vgg_state_dict` returns.

    Returns:
        The trainable stack.
    """
    with torch.device('meta'):
        features = build_vgg_features(arch, upto)
    named = named_vgg_state_dict(arch, upto, state_dict)
    features.load_state_dict(
        {name: tensor.clone() for name, tensor in named.items()}, assign=True)
    return features.requires_grad_(True)


class FrozenVGG(nn.Module):
    """A frozen ImageNet VGG that returns named layers.

    The file is read, checked and converted once in a process, however many of them
    are built.

    Args:
        arch: 'vgg19' or 'vgg16'.
        taps: names of the layers to return; the stack ends at the deepest.
        pretrained: 'imagenet' to look for the file (`fdsr.weights.vgg_state_dict`),
            a path to read that one, None for random values (announced loudly).
        sha256: the hash of the file in `pretrained`, when it is not a known one.

    Attributes:
        external_weights: the file that the values come from, None when random.

    Raises:
        KeyError: no such architecture or layer.
        FileNotFoundError: no weights on this machine.
        ValueError: a file with another hash than it must have, or no taps.
    """

    def __init__(
        self,
        arch: str,
        taps: Iterable[str],
        pretrained: Optional[Union[str, Path]] = 'imagenet',
        sha256: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.arch = arch
        self.taps = tuple(taps)
        if not self.taps:
            raise ValueError('FrozenVGG needs at least one layer in taps.')
        upto = max(self.taps, key=lambda name: _check_layer(arch, name))
        self.external_weights: Optional[ExternalWeights] = None
        if pretrained is None:
            self.features = build_vgg_features(arch, upto)
            announce_random(f'{arch} up to {upto}')
        else:
            path = None if pretrained == 'imagenet' else pretrained
            state, self.external_weights = vgg_state_dict(arch, path, sha256)
            self.features = vgg_features_from(arch, upto, state)
        self.register_buffer(
            'mean', torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            'std', torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenVGG':
        """Stays in evaluation mode, whatever is asked of the module around it."""
        return super().train(False)

    def forward(self, images: Tensor) -> Dict[str, Tensor]:
        """Returns the tapped layers of RGB images.

        Args:
            images: (B, 3, H, W) RGB in [0, 1]; ImageNet's mean and deviation are
                taken off here.

        Returns:
            {layer name: (B, C, h, w)} for each tap.
        """
        feature, taps = (images - self.mean) / self.std, {}
        for name, layer in self.features.named_children():
            feature = layer(feature)
            if name in self.taps:
                taps[name] = feature
        return taps
