"""The authors' files at toy size, and what their networks compute, written plainly.

The shapes come from the tables of keys in the papers' repositories; the computation is
a list of functional calls on those keys and knows nothing of our modules.
"""

import torch
from torch.nn import functional as F

MEAN = torch.tensor([0.4488, 0.4371, 0.4040])
C, GROUPS, BLOCKS, SQUEEZED, PROJECTIONS = 8, 2, 3, 2, 3


def _filled(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    state = {key: torch.randn(shape, generator=generator) * (
        0.3 if len(shape) == 1 else (3 / torch.Size(shape).numel() * shape[0])**0.5)
        for key, shape in shapes.items()}
    for name, sign in (('sub_mean', -1), ('add_mean', 1)):
        state[f'{name}.weight'] = torch.eye(3)[:, :, None, None]
        state[f'{name}.bias'] = sign * 255 * MEAN
    return state


def _layer(shapes, name, *shape, outputs=None):
    shapes[f'{name}.weight'] = shape
    shapes[f'{name}.bias'] = (outputs or shape[0], )


def rcan_state(scale):
    shapes = {}
    _layer(shapes, 'head.0', C, 3, 3, 3)
    for group in range(GROUPS):
        for block in range(BLOCKS):
            inner = f'body.{group}.body.{block}.body'
            _layer(shapes, f'{inner}.0', C, C, 3, 3)
            _layer(shapes, f'{inner}.2', C, C, 3, 3)
            _layer(shapes, f'{inner}.3.conv_du.0', SQUEEZED, C, 1, 1)
            _layer(shapes, f'{inner}.3.conv_du.2', C, SQUEEZED, 1, 1)
        _layer(shapes, f'body.{group}.body.{BLOCKS}', C, C, 3, 3)
    _layer(shapes, f'body.{GROUPS}', C, C, 3, 3)
    for stage in range(scale.bit_length() - 1):
        _layer(shapes, f'tail.0.{2 * stage}', 4 * C, C, 3, 3)
    _layer(shapes, 'tail.1', 3, C, 3, 3)
    return _filled(shapes, seed=scale)


def rcan(state, lr, scale):
    """(B, 3, h, w) RGB in [0, 255] to the same range."""
    def conv(name, x):
        weight = state[f'{name}.weight']
        return F.conv2d(x, weight, state[f'{name}.bias'], padding=weight.shape[-1] // 2)

    head = conv('head.0', conv('sub_mean', lr))
    x = head
    for group in range(GROUPS):
        y = x
        for block in range(BLOCKS):
            inner = f'body.{group}.body.{block}.body'
            z = conv(f'{inner}.2', F.relu(conv(f'{inner}.0', y)))
            pooled = F.adaptive_avg_pool2d(z, 1)
            attention = conv(f'{inner}.3.conv_du.2',
                             F.relu(conv(f'{inner}.3.conv_du.0', pooled)))
            y = y + z * torch.sigmoid(attention)
        x = x + conv(f'body.{group}.body.{BLOCKS}', y)
    x = head + conv(f'body.{GROUPS}', x)
    for stage in range(scale.bit_length() - 1):
        x = F.pixel_shuffle(conv(f'tail.0.{2 * stage}', x), 2)
    return conv('add_mean', conv('tail.1', x))


def srfbn_state(scale):
    shapes, kernel = {}, {2: 6, 4: 8, 8: 12}[scale]

    def active(name, *shape):
        _layer(shapes, f'{name}.0', *shape)
        shapes[f'{name}.1.weight'] = (1, )

    active('conv_in', 4 * C, 3, 3, 3)
    active('feat_in', C, 4 * C, 1, 1)
    active('block.compress_in', C, 2 * C, 1, 1)
    for group in range(PROJECTIONS):
        active(f'block.upBlocks.{group}', C, C, kernel, kernel)
        active(f'block.downBlocks.{group}', C, C, kernel, kernel)
    for group in range(PROJECTIONS - 1):
        active(f'block.uptranBlocks.{group}', C, (group + 2) * C, 1, 1)
        active(f'block.downtranBlocks.{group}', C, (group + 2) * C, 1, 1)
    active('block.compress_out', C, PROJECTIONS * C, 1, 1)
    active('out', C, C, kernel, kernel)
    _layer(shapes, 'conv_out.0', 3, C, 3, 3)
    return _filled(shapes, seed=scale)


def srfbn(state, lr, scale, steps=4):
    """(B, 3, h, w) RGB in [0, 255] to the same range, the last step's."""
    def active(name, x, operation=F.conv2d, **kwargs):
        x = operation(x, state[f'{name}.0.weight'], state[f'{name}.0.bias'], **kwargs)
        return F.prelu(x, state[f'{name}.1.weight'])

    strided = dict(stride=scale, padding=2)
    x = F.conv2d(lr, state['sub_mean.weight'], state['sub_mean.bias'])
    inter = F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)
    x = active('feat_in', active('conv_in', x, padding=1))
    hidden = x
    for _ in range(steps):
        low = [active('block.compress_in', torch.cat([x, hidden], 1))]
        high = []
        for group in range(PROJECTIONS):
            a = torch.cat(low, 1)
            if group > 0:
                a = active(f'block.uptranBlocks.{group - 1}', a)
            high.append(active(f'block.upBlocks.{group}', a, F.conv_transpose2d,
                               **strided))
            b = torch.cat(high, 1)
            if group > 0:
                b = active(f'block.downtranBlocks.{group - 1}', b)
            low.append(active(f'block.downBlocks.{group}', b, **strided))
        hidden = active('block.compress_out', torch.cat(low[1:], 1))
        last = active('out', hidden, F.conv_transpose2d, **strided)
        last = F.conv2d(last, state['conv_out.0.weight'], state['conv_out.0.bias'],
                        padding=1)
        picture = F.conv2d(inter + last, state['add_mean.weight'],
                           state['add_mean.bias'])
    return picture
