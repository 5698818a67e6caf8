"""Interrupted runs that go on as if nothing had been."""

import random
from typing import Any, Dict, Optional

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
    """Saves what an exact continuation needs, as plain values.

    - mmengine's message hub, whose ``HistoryBuffer`` objects torch would refuse to
      load with ``weights_only=True``;
    - how many samples were consumed and the sampler's seed, for ``ExactTrainLoop``;
    - the states of Python's, numpy's and torch's random generators. They are those of
      the first process; the others go on with streams seeded by iteration and rank.
      (The data do not depend on them: they are seeded by sample.)

    A run with gradient accumulation goes on exactly from checkpoints at multiples of
    the accumulated iterations: half-summed gradients are not saved.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._resumed: Optional[Dict[str, Any]] = None

    def before_save_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Makes the checkpoint plain and adds the run's position."""
        checkpoint['message_hub'] = to_plain(checkpoint['message_hub'])
        checkpoint['meta'] = to_plain(checkpoint['meta'])
        checkpoint[_KEY] = dict(
            consumed=getattr(runner.train_loop, 'consumed', 0),
            sampler_seed=getattr(
                runner.train_loop.dataloader.sampler, 'seed', None),
            random=random_states())

    def after_load_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Gives mmengine its message hub back, and remembers the position."""
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = from_plain(checkpoint['message_hub'])
        self._resumed = checkpoint.get(_KEY)

    def before_train(self, runner: Any) -> None:
        """Puts a resumed run at its position."""
        if self._resumed is None or runner.iter == 0:
            return
        loop, sampler = runner.train_loop, runner.train_loop.dataloader.sampler
        if self._resumed['sampler_seed'] is not None:
            sampler.seed = self._resumed['sampler_seed']
        if hasattr(loop, 'continue_at'):
            loop.continue_at(self._resumed['consumed'])
        if get_rank() == 0:
            set_random_states(self._resumed['random'])
        else:
            torch.manual_seed(runner.iter * 1000003 + get_rank())
        self._resumed = None


def to_plain(value: Any) -> Any:
    """Containers of numbers, strings and tensors that load with weights_only."""
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
    """Undoes ``to_plain`` for history buffers."""
    if isinstance(value, dict):
        if _BUFFER in value:
            return HistoryBuffer(*value[_BUFFER])
        return {key: from_plain(item) for key, item in value.items()}
    return value


def random_states() -> Dict[str, Any]:
    """The states of every random generator, as plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return dict(
        python=to_plain(random.getstate()),
        numpy=[kind, keys.tolist(), position, has_gauss, gauss],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def set_random_states(states: Dict[str, Any]) -> None:
    """Undoes ``random_states``."""
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states['numpy']
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu().to(torch.uint8))
    if states['cuda'] and len(states['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states['cuda']])
