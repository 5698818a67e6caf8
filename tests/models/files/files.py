"""Model files by hand: what a config, a description or tensors would do if trusted."""

import torch

#: A network with some 1,000 values, and its config.
TINY = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1, reduction=2)


def tiny_state():
    """The tiny network's values, as a file holds them."""
    from fdsr.registry import MODELS
    return {f'generator.{key}': value
            for key, value in MODELS.build(TINY).state_dict().items()}


def description(config=TINY, **changes):
    """What a file says of its backbone ``generator``."""
    return {**dict(format=1, backbones=dict(generator=config), default='generator',
                   external={}), **changes}


def write(path, config=TINY, state=None, **changes):
    """Writes a model file, and returns its path."""
    torch.save({'meta': {'fdsr': description(config, **changes), 'iter': 1, 'epoch': 0},
                'state_dict': tiny_state() if state is None else state}, path)
    return path
