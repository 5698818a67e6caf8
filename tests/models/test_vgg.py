"""VGG: names of the layers and values against torchvision."""

import pytest
import torch
import torchvision
from torch import nn

from fdsr.models.vgg import (
    build_vgg_features,
    layer_channels,
    vgg_layer_names,
)

# Indices that the literature quotes for torchvision's `features`.
KNOWN = {
    'vgg16': {'conv1_1': 0, 'relu1_1': 1, 'relu1_2': 3, 'pool1': 4, 'relu2_2': 8,
              'relu3_3': 15, 'relu4_3': 22, 'relu5_3': 29, 'pool5': 30},
    'vgg19': {'relu1_1': 1, 'relu2_1': 6, 'relu3_1': 11, 'relu4_1': 20, 'relu5_1': 29,
              'relu2_2': 8, 'relu3_4': 17, 'relu4_4': 26, 'conv5_4': 34, 'pool5': 36},
}


def torchvision_features(arch):
    with torch.device('meta'):
        return getattr(torchvision.models, arch)().features


@pytest.mark.parametrize('arch', ['vgg16', 'vgg19'])
def test_names_are_in_the_order_of_torchvisions_indices(arch):
    names, features = vgg_layer_names(arch), torchvision_features(arch)
    assert len(names) == len(features)
    for name, index in KNOWN[arch].items():
        assert names.index(name) == index
    kinds = {'conv': nn.Conv2d, 'relu': nn.ReLU, 'pool': nn.MaxPool2d}
    for name, layer in zip(names, features):
        assert isinstance(layer, kinds[name[:4]])
        if name.startswith('conv'):
            assert layer.out_channels == layer_channels(arch, name)


@pytest.mark.parametrize('arch', ['vgg16', 'vgg19'])
def test_a_stack_computes_the_same_as_torchvisions(arch):
    upto = 'relu3_2'
    index = vgg_layer_names(arch).index(upto)
    reference = getattr(torchvision.models, arch)().features[:index + 1]
    state = {f'features.{key}': value for key, value in reference.state_dict().items()}
    stack = build_vgg_features(arch, upto, state)
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(stack(x), reference(x))


def test_a_stack_copies_the_values_and_is_trainable():
    state = {f'features.{key}': value for key, value
             in torchvision.models.vgg16().features.state_dict().items()}
    stack = build_vgg_features('vgg16', 'conv2_1', state)
    assert list(stack.state_dict()) == [
        'conv1_1.weight', 'conv1_1.bias', 'conv1_2.weight', 'conv1_2.bias',
        'conv2_1.weight', 'conv2_1.bias']
    weight = state['features.5.weight']
    assert torch.equal(stack.conv2_1.weight, weight)
    assert stack.conv2_1.weight.data_ptr() != weight.data_ptr()
    assert all(parameter.requires_grad for parameter in stack.parameters())


def test_a_stack_ends_at_the_named_layer_and_changes_nothing_in_place():
    stack = build_vgg_features('vgg19', 'relu2_1')
    assert list(stack._modules) == [
        'conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1', 'conv2_1', 'relu2_1']
    assert not any(m.inplace for m in stack.modules() if isinstance(m, nn.ReLU))


@pytest.mark.parametrize('arch,layer', [('vgg16', 'relu3_4'), ('vgg19', 'fc6')])
def test_an_unknown_layer_lists_the_known_ones(arch, layer):
    with pytest.raises(KeyError, match='relu3_3'):
        build_vgg_features(arch, layer)
