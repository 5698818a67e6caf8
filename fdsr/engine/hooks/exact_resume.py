"""Stores the state that an exact resume needs."""

from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from fdsr.engine.optim import partial_gradients
from fdsr.engine.random_states import random_states
from fdsr.engine.settings import settings_of
from fdsr.registry import HOOKS

KEY = 'fdsr_resume'
_BUFFER = '__history_buffer__'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Adds the state that an exact resume needs to the checkpoints, as plain values.

    - mmengine's message hub, whose ``HistoryBuffer`` objects do not load with
      ``weights_only=True``;
    - the number of consumed samples of each process and the sampler's seed, for
      ``ExactTrainLoop``;
    - the states of Python's, numpy's and torch's random generators in each process;
    - with gradient accumulation in a single process, the gradients so far; with several
      processes, resume is exact from multiples of the accumulated iterations only;
    - the settings of the run, with which a resumed run compares its own.

    ``FaceRunner.resume`` restores it.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._states: list[tuple[int, dict[str, Any]]] | None = None

    def gather_states(self, runner: Any) -> None:
        """Collects the positions of all processes for the next checkpoint."""
        self._states = all_gather_object(_state(runner))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Converts the checkpoint to plain values and adds the run's position."""
        checkpoint['message_hub'] = to_plain(checkpoint['message_hub'])
        checkpoint['meta'] = to_plain(checkpoint['meta'])
        states, self._states = self._states or [_state(runner)], None
        (consumed, *consumed_of_others), (random, *random_of_others) = zip(*states)
        checkpoint[KEY] = dict(
            consumed=consumed, consumed_of_others=consumed_of_others,
            sampler_seed=getattr(
                runner.train_loop.dataloader.sampler, 'seed', None),
            random=random, random_of_others=random_of_others,
            gradients=partial_gradients(runner.optim_wrapper),
            settings=to_plain(settings_of(runner)))


def _state(runner: Any) -> tuple[int, dict[str, Any]]:
    return getattr(runner.train_loop, 'consumed', 0), random_states()


def to_plain(value: Any) -> Any:
    """Converts values to containers that load with ``weights_only=True``."""
    if isinstance(value, HistoryBuffer):
        return {_BUFFER: [value._log_history.tolist(), value._count_history.tolist(),
                          value.max_length]}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    return str(value)


def from_plain(value: Any) -> Any:
    """Restores the history buffers that ``to_plain`` converted.

    Raises:
        ValueError: a buffer does not have two lists of numbers and a length.
    """
    if not isinstance(value, dict):
        return value
    if _BUFFER not in value:
        return {key: from_plain(item) for key, item in value.items()}
    values, counts, length = value[_BUFFER]
    if type(length) is not int or any(
            type(number) not in (int, float) for number in (*values, *counts)):
        raise ValueError('expected a history of numbers')
    return HistoryBuffer(values, counts, length)
