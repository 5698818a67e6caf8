"""Names, sizes and constants in the files of the authors of RCAN and SRFBN."""

import re

import torch
from torch import Tensor

from fdsr.models.backbones.rcan import DIV2K_MEAN, RANGE

_SRFBN_NAMES = {
    'to_rgb.': 'conv_out.0.',
    'block.up.': 'block.upBlocks.',
    'block.down.': 'block.downBlocks.',
    'block.up_compress.': 'block.uptranBlocks.',
    'block.down_compress.': 'block.downtranBlocks.',
}
#: Difference between kernel and stride of the strided convolutions.
_KERNEL_EXCESS = 4
#: Not stored in the files; all released models unroll four steps.
_STEPS = 4


def mean_shift() -> dict[str, Tensor]:
    """Returns DIV2K's mean, which the files store and fdsr's networks have built in."""
    fixed = {}
    for name, sign in (('sub_mean', -1), ('add_mean', 1)):
        fixed[f'{name}.weight'] = torch.eye(3)[:, :, None, None]
        fixed[f'{name}.bias'] = sign * RANGE * torch.tensor(DIV2K_MEAN)
    return fixed


def rcan_config(state: dict[str, Tensor]) -> dict:
    """Returns the backbone's config, read from the shapes.

    Raises:
        KeyError: a value whose shape is needed is missing.
    """
    channels = state['head.0.weight'].shape[0]
    squeezed = state['body.0.body.0.body.3.conv_du.0.weight'].shape[0]
    stages = _count(state, r'tail\.0\.(\d+)\.weight')
    return dict(
        type='fdsr.RCAN', scale=2**stages, channels=channels,
        groups=_count(state, r'body\.(\d+)\.body\.0\.body\.0\.weight'),
        blocks=_count(state, r'body\.0\.body\.(\d+)\.body\.0\.weight'),
        reduction=channels // squeezed)


def _count(state: dict[str, Tensor], pattern: str) -> int:
    count = sum(re.fullmatch(pattern, key) is not None for key in state)
    if not count:
        raise KeyError(pattern.replace(r'(\d+)', '0').replace('\\', ''))
    return count


def rcan_names(key: str, config: dict) -> list[str]:
    """Returns the authors' name of a value of fdsr's network, as a list of one."""
    rules = (
        (r'head\.', 'head.0.'),
        (r'body\.(\d+)\.blocks\.(\d+)\.body\.', r'body.\1.body.\2.body.'),
        (r'body\.(\d+)\.blocks\.(\d+)\.attention\.',
         r'body.\1.body.\2.body.3.conv_du.'),
        (r'body\.(\d+)\.conv\.', rf'body.\1.body.{config["blocks"]}.'),
        (r'body_conv\.', f'body.{config["groups"]}.'),
        (r'upsample\.', 'tail.0.'),
        (r'to_rgb\.', 'tail.1.'),
    )
    for name, official in rules:
        if re.match(name, key):
            return [re.sub(f'^{name}', official, key)]
    raise KeyError(key)


def srfbn_config(state: dict[str, Tensor]) -> dict:
    """Returns the backbone's config, read from the shapes.

    Raises:
        KeyError: a value whose shape is needed is missing.
    """
    channels = state['feat_in.0.weight'].shape[0]
    return dict(
        type='fdsr.SRFBN', scale=state['out.0.weight'].shape[-1] - _KERNEL_EXCESS,
        channels=channels, steps=_STEPS,
        groups=state['block.compress_out.0.weight'].shape[1] // channels)


def srfbn_names(key: str, config: dict) -> list[str]:
    """Returns the authors' name of a value of fdsr's network, as a list of one."""
    for name, official in _SRFBN_NAMES.items():
        if key.startswith(name):
            return [official + key[len(name):]]
    return [key]
