"""Names and sizes in the RCAN authors' files."""

import re

from torch import Tensor


def config_of(state: dict[str, Tensor]) -> dict:
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


def official_names(key: str, config: dict) -> list[str]:
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
