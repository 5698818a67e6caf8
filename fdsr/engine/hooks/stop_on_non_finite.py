"""Stops a run that has diverged."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import find_latest_checkpoint
from torch import Tensor

from fdsr.registry import HOOKS


@HOOKS.register_module()
class StopOnNonFiniteHook(Hook):
    """Stops a run as soon as a logged value is NaN or infinite.

    It runs before a checkpoint is saved, so the work directory holds only checkpoints
    with finite losses. RCAN is known to diverge occasionally.
    """

    priority = 'NORMAL'  # before CheckpointHook

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: dict[str, Any] | None = None) -> None:
        """Checks the losses of an iteration.

        Raises:
            FloatingPointError: a loss is NaN or infinite. The message has its name, the
                iteration and the last good checkpoint.
        """
        values = {
            name: float(value.detach() if isinstance(value, Tensor) else value)
            for name, value in (outputs or {}).items()}
        bad = [f'{name} = {value}' for name, value in values.items()
               if not math.isfinite(value)]
        if bad:
            last = find_latest_checkpoint(runner.work_dir)
            fix = (f'The last good checkpoint is {last}: resume from it with --resume, '
                   if last else 'No checkpoint has been saved yet: start again, ')
            raise FloatingPointError(
                f'The run diverged in iteration {runner.iter + 1}: {", ".join(bad)}. '
                f'{fix}with a lower learning rate or optim_wrapper.clip_grad.')
