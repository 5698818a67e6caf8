"""Resumes interrupted runs exactly."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from fdsr.registry import HOOKS

_KEY = 'fdsr_resume'
_BUFFER = '__history_buffer__'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Adds the state that an exact resume needs to the checkpoints, as plain values.

    - mmengine's message hub, whose ``HistoryBuffer`` objects do not load with
      ``weights_only=True``;
    - the number of consumed samples and the sampler's seed, for ``ExactTrainLoop``;
    - the states of Python's, numpy's and torch's random generators in the first
      process. The other processes resume with streams seeded by iteration and rank.
      Data do not depend on them, because each sample has its own seed.

    With gradient accumulation, resume is exact from multiples of the accumulated
    iterations only, because partial gradients are not saved.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._resumed: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Converts the checkpoint to plain values and adds the run's position."""
        checkpoint['message_hub'] = to_plain(checkpoint['message_hub'])
        checkpoint['meta'] = to_plain(checkpoint['meta'])
        checkpoint[_KEY] = dict(
            consumed=getattr(runner.train_loop, 'consumed', 0),
            sampler_seed=getattr(
                runner.train_loop.dataloader.sampler, 'seed', None),
            random=random_states())

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Restores mmengine's message hub and keeps the position."""
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = from_plain(checkpoint['message_hub'])
        self._resumed = checkpoint.get(_KEY)

    def before_train(self, runner: Any) -> None:
        """Moves a resumed run to its position."""
        if self._resumed is None or runner.iter == 0:
            return
        loop, sampler = runner.train_loop, runner.train_loop.dataloader.sampler
        if self._resumed['sampler_seed'] is not None:
            sampler.seed = self._resumed['sampler_seed']
        loop.consumed = self._resumed['consumed']
        if get_rank() == 0:
            set_random_states(self._resumed['random'])
        else:
            torch.manual_seed(runner.iter * 1000003 + get_rank())
        self._resumed = None


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
    """Restores the history buffers that ``to_plain`` converted."""
    if isinstance(value, dict):
        if _BUFFER in value:
            return HistoryBuffer(*value[_BUFFER])
        return {key: from_plain(item) for key, item in value.items()}
    return value


def random_states() -> dict[str, Any]:
    """Returns the states of all random generators as plain values."""
    return dict(
        python=to_plain(random.getstate()), numpy=to_plain(np.random.get_state()),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def set_random_states(states: dict[str, Any]) -> None:
    """Sets the states that ``random_states`` returned."""
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states['numpy']
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu().to(torch.uint8))
    if states['cuda'] and len(states['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states['cuda']])
