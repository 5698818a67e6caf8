"""Stops a run that has diverged."""

import math
from typing import Any, Dict, Optional

from mmengine.hooks import Hook
from mmengine.runner import find_latest_checkpoint
from torch import Tensor

from fdsr.registry import HOOKS


@HOOKS.register_module()
class StopOnNonFiniteHook(Hook):
    """Stops a run as soon as a logged value is NaN or infinite.

    It looks after each iteration and before a checkpoint is saved, so that what lies
    in the work directory stays good: RCAN is known to diverge now and then.
    """

    priority = 'NORMAL'  # before CheckpointHook

    def after_train_iter(self, runner: Any, batch_idx: int,
                         data_batch: Optional[Any] = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Looks at the losses of an iteration.

        Raises:
            FloatingPointError: one is NaN or infinite; the message names it, the
                iteration and the last good checkpoint.
        """
        values = {
            name: float(value.detach() if isinstance(value, Tensor) else value)
            for name, value in (outputs or {}).items()}
        bad = {name: value for name, value in values.items()
               if not math.isfinite(value)}
        if bad:
            found = ', '.join(f'{name} = {value}' for name, value in bad.items())
            last = find_latest_checkpoint(runner.work_dir)
            remedy = (
                f'The last good checkpoint is {last}: go on from it with --resume, '
                if last else 'No checkpoint has been saved yet: start again, ')
            raise FloatingPointError(
                f'The run diverged in iteration {runner.iter + 1}: {found}. {remedy}'
                'with a lower learning rate or optim_wrapper.clip_grad.')
