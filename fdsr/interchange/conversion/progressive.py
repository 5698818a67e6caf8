"""Names, sizes and progress in the files of the authors of progressive face SR."""

import re
from typing import Any

from torch import Tensor

from fdsr.models.progress import check_progress

#: Steps of the authors' network.
_STEPS = 3
#: Number of layers in the authors' first step before those of every step.
_HEAD_LAYERS = 3


def config_of(state: dict[str, Tensor]) -> dict:
    """Returns the backbone's config, read from the shapes.

    Raises:
        KeyError: a value that every file has is missing.
    """
    for number in range(_STEPS):
        if f'to_rgb.{number}.weight' not in state:
            raise KeyError(f'to_rgb.{number}.weight')
    return dict(type='fdsr.ProgressiveFSR', scale=2**_STEPS,
                channels=state['step1.0.weight'].shape[0])


def official_names(key: str, config: dict) -> list[str]:
    """Returns the authors' name of a value of fdsr's network, as a list of one."""
    del config
    if key.startswith('to_rgb.'):
        return [key]
    if key.startswith('head.'):
        return [key.replace('head', 'step1', 1)]
    number, layer, rest = re.fullmatch(r'steps\.(\d)\.(\d)\.(.+)', key).groups()
    # their blocks wrap each convolution in a module of its own
    rest = re.sub(r'^body\.(\d)\.', r'conv.\1.', rest)
    rest = re.sub(r'^conv\.([03])\.', r'conv.\1.conv.', rest)
    offset = 0 if int(number) else _HEAD_LAYERS
    return [f'step{int(number) + 1}.{int(layer) + offset}.{rest}']


def progress_of(content: dict[str, Any]) -> dict:
    """Returns the weight of the last step's image, if the file blends it.

    Args:
        content: the file, with ``step`` and ``alpha``; a bare state dict has neither.

    Returns:
        ``dict(alpha=...)``; empty if the last step's image is used alone. The authors
        write -1 for that.

    Raises:
        ValueError: the file is of an earlier step, or a value is not valid.
    """
    step, alpha = content.get('step', _STEPS), content.get('alpha', 1)
    if not isinstance(step, int) or step != _STEPS:
        raise ValueError(
            f'it was saved at step {step!r}, expected step {_STEPS}, the last one: '
            'the later layers of an earlier step are untrained. Use a file of the '
            'finished training')
    if alpha == -1:
        return {}
    check_progress(_STEPS, _STEPS, alpha)
    return {} if alpha == 1 else dict(alpha=float(alpha))
