"""Stops a run that has diverged."""

import math
from typing import Any

from mmengine.hooks import Hook
from torch import Tensor

from fdsr.engine.optim import named_wrappers
from fdsr.engine.work_dir import checkpoints_of
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
            last = checkpoints_of(runner).latest()
            fix = (f'The last good checkpoint is {last}: resume from it with --resume '
                   if last else 'No checkpoint has been saved yet: start again ')
            raise FloatingPointError(
                f'The run diverged in iteration {runner.iter + 1}: {", ".join(bad)}. '
                f'{fix}and a lower learning rate or clipped gradients: --cfg-options '
                f'{_settings(runner.optim_wrapper)}.')


def _settings(wrappers: Any) -> str:
    """Returns settings for the command line with a tenth of each learning rate."""
    rates, clips = [], []
    for name, wrapper in named_wrappers(wrappers).items():
        key = '.'.join(filter(None, ('optim_wrapper', name)))
        group = wrapper.optimizer.param_groups[0]
        rates.append(
            f'{key}.optimizer.lr={group.get("initial_lr", group["lr"]) / 10:.3g}')
        clips.append(f'{key}.clip_grad.max_norm=1.0')
    return f'{" ".join(rates)}, or {" ".join(clips)}'
