"""The authors' progressive face SR at toy size, and what it computes, written plainly.

The computation is a list of functional calls on the authors' keys and knows nothing of
fdsr's modules.
"""

import torch
from torch.nn import functional as F

CHANNELS = 16


def state(seed=0, channels=CHANNELS):
    """A state dict with the authors' keys and random values."""
    generator = torch.Generator().manual_seed(seed)
    content = {}

    def randn(*shape, gain=1.0):
        return torch.randn(*shape, generator=generator) * gain

    def norm(name, width):
        content[f'{name}.weight'] = 1 + randn(width, gain=0.2)
        content[f'{name}.bias'] = randn(width, gain=0.2)
        content[f'{name}.running_mean'] = randn(width, gain=0.2)
        content[f'{name}.running_var'] = 0.5 + torch.rand(width, generator=generator)
        content[f'{name}.num_batches_tracked'] = torch.tensor(7)

    def block(name, width):
        for index in (0, 3):
            content[f'{name}.conv.{index}.conv.weight_orig'] = randn(width, width, 3, 3)
            content[f'{name}.conv.{index}.conv.bias'] = randn(width, gain=0.2)
            norm(f'{name}.conv.{index + 1}', width)

    content['step1.0.weight'] = randn(channels, 3, 3, 3, gain=0.3)
    content['step1.0.bias'] = randn(channels, gain=0.2)
    norm('step1.1', channels)
    for step, start in ((1, 3), (2, 0), (3, 0)):
        width = channels >> (step - 1)
        block(f'step{step}.{start}', width)
        # a transposed convolution has (inputs, outputs, height, width)
        content[f'step{step}.{start + 1}.weight'] = randn(
            width, width // 2, 4, 4, gain=(2 / (4 * width))**0.5)
        content[f'step{step}.{start + 1}.bias'] = randn(width // 2, gain=0.2)
        norm(f'step{step}.{start + 2}', width // 2)
        content[f'to_rgb.{step - 1}.weight'] = randn(3, width // 2, 1, 1, gain=0.3)
        content[f'to_rgb.{step - 1}.bias'] = randn(3, gain=0.2)
    return content


def run(content, image, step=3, alpha=-1):
    """(B, 3, h, w) in [-1, 1] to the image of a step in the same range."""
    def norm(name, x):
        mean, variance, weight, bias = (
            content[f'{name}.{value}'].view(1, -1, 1, 1)
            for value in ('running_mean', 'running_var', 'weight', 'bias'))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def block(name, x):
        y = x
        for index in (0, 3):
            weight = content[f'{name}.conv.{index}.conv.weight_orig']
            fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
            y = F.conv2d(F.pad(y, (1, 1, 1, 1)), weight * (2 / fan_in)**0.5,
                         content[f'{name}.conv.{index}.conv.bias'])
            y = norm(f'{name}.conv.{index + 1}', y).clamp(min=0)
        return x + y

    x = F.conv2d(F.pad(image, (1, 1, 1, 1)), content['step1.0.weight'],
                 content['step1.0.bias'])
    x = norm('step1.1', x).clamp(min=0)
    images = []
    for number, start in ((1, 3), (2, 0), (3, 0))[:step]:
        x = block(f'step{number}.{start}', x)
        x = F.conv_transpose2d(x, content[f'step{number}.{start + 1}.weight'],
                               content[f'step{number}.{start + 1}.bias'], stride=2,
                               padding=1)
        x = norm(f'step{number}.{start + 2}', x).clamp(min=0)
        weight = content[f'to_rgb.{number - 1}.weight'][:, :, 0, 0]
        images.append(torch.einsum('oc,bchw->bohw', weight, x)
                      + content[f'to_rgb.{number - 1}.bias'].view(1, 3, 1, 1))
    if step > 1 and 0 <= alpha < 1:
        before = images[-2].repeat_interleave(2, 2).repeat_interleave(2, 3)
        return (1 - alpha) * before + alpha * images[-1]
    return images[-1]
