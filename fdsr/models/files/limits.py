"""Limits on arguments that cost time or memory but need no values in the file.

The limits apply to the networks of this project and of mmagic, whose arguments are
known. A plugin is code that the user chose to install, with its own arguments.
"""

import math
from pathlib import Path
from typing import Any

from fdsr.models.contract import MAX_SCALE, MAX_SIZE
from fdsr.models.files.budget import Budget
from fdsr.models.files.fitting import CheckpointMismatch
from fdsr.weights.walking import short

_LIMITS = {
    'scale': MAX_SCALE, 'upscale': MAX_SCALE, 'upscale_factor': MAX_SCALE,
    'steps': 256, 'num_steps': 256, 'size': MAX_SIZE, 'img_size': 1024,
    'window_size': 64}
_INTEGER = 2**31


def check_number(source: str | Path, where: str, value: Any) -> None:
    """Raises ``CheckpointMismatch`` for a number that is not finite or too large."""
    if type(value) is int and abs(value) >= _INTEGER:
        raise _beyond(source, where, 'a 32-bit integer', value)
    if type(value) is float and not math.isfinite(value):
        raise _beyond(source, where, 'a finite number', value)


def check_limits(source: str | Path, where: str, full_name: str | None, config: dict,
                 budget: Budget) -> None:
    """Checks the arguments of a network of this project or mmagic.

    ``full_name`` is None for a dict that is only a part of a network's config.

    Raises:
        CheckpointMismatch: an argument is out of range, or the arguments need more
            values than the file has.
    """
    for key in config:
        if type(key) is not str:
            raise _beyond(source, where, 'string keys', key)
    if full_name is None:
        return
    for key, limit in _LIMITS.items():
        value = config.get(key)
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None and not (type(item) is int and 0 < item <= limit):
                raise _beyond(
                    source, f'{where}.{key}', f'an integer from 1 to {limit}', item)
    share = config.get('eye_share')
    if share is not None and not (type(share) is float and 0 < share < 1):
        raise _beyond(source, f'{where}.eye_share', 'a number between 0 and 1', share)
    if full_name == 'mmagic.SwinIRNet' and _masks_of(config) > budget.values:
        raise CheckpointMismatch(
            f'{source}: {where}: with its depths, img_size and window_size, SwinIRNet '
            'needs more values for attention masks than the file has.')


def _masks_of(config: dict) -> int:
    """Returns the maximum number of values in the buffers of SwinIRNet's blocks.

    The buffers are computed from small tensors, so the budget does not count them. For
    a window of side w and an image of side s, each block has positions (w², w²), and
    every second block has a mask (s² / w², w², w²).
    """
    def numbers(key: str, default: int) -> list[int]:
        value = config.get(key, default)
        return [item if type(item) is int else 0
                for item in (value if isinstance(value, (list, tuple)) else [value])]

    depth = sum(max(0, number) for number in numbers('depths', 24))
    side, window = (max(numbers(key, default), default=0)
                    for key, default in (('img_size', 64), ('window_size', 7)))
    return depth * window**4 + (depth + 1) // 2 * (side * window)**2


def _beyond(source: str | Path, where: str, expected: str,
            found: Any) -> CheckpointMismatch:
    return CheckpointMismatch(
        f'{source}: {where}: expected {expected}, found {short(found)}. Other values '
        'are invalid or need excessive time or memory.')
