"""VGG-16 and VGG-19 feature stacks with named layers: conv1_1, relu1_1, pool1.

torchvision's ``create_feature_extractor`` does not replace this module: its children
are named by index, while saved files and taps use these names, and its ReLUs work in
place, which overwrites a tapped convolution.
"""

from collections import OrderedDict
from contextlib import nullcontext
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
    """Returns the names of the layers in the order of torchvision's indices.

    Args:
        arch: ``'vgg16'`` or ``'vgg19'``.

    Returns:
        ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1', ..., 'pool5').

    Raises:
        KeyError: unknown architecture.
    """
    if arch not in _STAGES:
        raise KeyError(f'Unknown VGG {arch!r}; expected one of {sorted(_STAGES)}.')
    names = []
    for stage, convs in enumerate(_STAGES[arch], start=1):
        for conv in range(1, convs + 1):
            names += [f'conv{stage}_{conv}', f'relu{stage}_{conv}']
        names.append(f'pool{stage}')
    return tuple(names)


def _layers_up_to(arch: str, name: str) -> Tuple[str, ...]:
    names = vgg_layer_names(arch)
    if name not in names:
        raise KeyError(
            f'{arch} has no layer {name!r}; expected one of {", ".join(names)}.')
    return names[:names.index(name) + 1]


def layer_channels(arch: str, name: str) -> int:
    """Returns the number of channels of a layer's output.

    Raises:
        KeyError: unknown architecture or layer.
    """
    _layers_up_to(arch, name)
    return _CHANNELS[int(name[4]) - 1]  # 'conv', 'relu' and 'pool' have four letters


def build_vgg_features(arch: str, upto: str,
                       state_dict: Optional[Dict[str, Tensor]] = None) -> nn.Sequential:
    """Builds the trainable stack from the first layer to ``upto``, inclusive.

    Args:
        arch: ``'vgg16'`` or ``'vgg19'``.
        upto: name of the last layer, e.g. ``'relu4_1'``.
        state_dict: values to copy, under torchvision's names, as
            ``fdsr.weights.vgg_state_dict`` returns them. No random number is drawn
            then, so the number of stacks does not affect the random state of a run.
            Default: PyTorch's initialisation.

    Returns:
        The stack; its children are named by layer, and no ReLU works in place.

    Raises:
        KeyError: unknown architecture or layer.
    """
    names = _layers_up_to(arch, upto)
    layers, channels = OrderedDict(), 3
    with nullcontext() if state_dict is None else torch.device('meta'):
        for name in names:
            if name.startswith('conv'):
                width = layer_channels(arch, name)
                layers[name] = nn.Conv2d(channels, width, 3, padding=1)
                channels = width
            else:
                layers[name] = nn.ReLU() if name.startswith('relu') else nn.MaxPool2d(2)
    features = nn.Sequential(layers)
    if state_dict is not None:
        features.load_state_dict({
            f'{name}.{key}': state_dict[f'features.{index}.{key}'].clone()
            for index, name in enumerate(names) if name.startswith('conv')
            for key in ('weight', 'bias')}, assign=True)
    return features


class FrozenVGG(nn.Module):
    """A frozen ImageNet VGG that returns the outputs of named layers.

    A process reads, checks and converts each file once.

    Args:
        arch: ``'vgg19'`` or ``'vgg16'``.
        taps: names of the layers to return; the stack ends at the deepest.
        pretrained: ``'imagenet'`` to search for the file, see
            ``fdsr.weights.vgg_state_dict``; a path; or None for random values, which
            are reported.
        sha256: hash of the file in ``pretrained``, if it is not a known file.

    Attributes:
        external_weights: file of the values; None if they are random.

    Raises:
        KeyError: unknown architecture or layer.
        FileNotFoundError: the file is not on this machine.
        ValueError: a file with an unexpected hash, or no taps.
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
            raise ValueError('FrozenVGG: taps is empty, expected at least one layer.')
        upto = max(self.taps, key=lambda name: len(_layers_up_to(arch, name)))
        self.external_weights: Optional[ExternalWeights] = None
        state = None
        if pretrained is None:
            announce_random(f'{arch} up to {upto}')
        else:
            path = None if pretrained == 'imagenet' else pretrained
            state, self.external_weights = vgg_state_dict(arch, path, sha256)
        self.features = build_vgg_features(arch, upto, state)
        self.register_buffer(
            'mean', torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            'std', torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenVGG':
        """Stays in evaluation mode, regardless of ``mode``."""
        return super().train(False)

    def forward(self, images: Tensor) -> Dict[str, Tensor]:
        """Returns the outputs of the tapped layers.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], not yet normalized with ImageNet's mean
                and standard deviation.

        Returns:
            {layer name: (B, C, h, w)} for every tap.
        """
        feature, taps = (images - self.mean) / self.std, {}
        for name, layer in self.features.named_children():
            feature = layer(feature)
            if name in self.taps:
                taps[name] = feature
        return taps
