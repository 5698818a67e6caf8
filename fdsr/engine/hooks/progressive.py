"""Moves a progressive network through its steps."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook

from fdsr.engine.work_dir import CannotResume
from fdsr.registry import HOOKS
from fdsr.utils.modules import unwrap


@HOOKS.register_module()
class ProgressiveHook(Hook):
    """Sets the step of a ``ProgressiveRestorer`` before each iteration.

    Step and alpha depend on the iteration only, so a resumed run continues exactly,
    also in the middle of a step. Alpha rises linearly to 1 in the first ``fade``
    iterations of each step but the first.

    Args:
        starts: first iteration of each step, beginning with 0.
        fade: number of iterations that blend a new step in; 0 for none.

    Raises:
        ValueError: ``starts`` do not ascend from 0, or ``fade`` is negative or longer
            than a step.
    """

    priority = 'LOWEST'  # on loading, after SelfDescribingHook has checked the file

    def __init__(self, starts: Sequence[int], fade: int) -> None:
        starts = list(starts)
        lengths = [later - earlier for earlier, later in zip(starts, starts[1:])]
        if not starts or starts[0] != 0 or any(length < 1 for length in lengths):
            raise ValueError(f'starts: expected ascending iterations that begin with '
                             f'0, found {starts}.')
        if not 0 <= fade <= min(lengths[1:], default=fade):
            raise ValueError(f'fade: expected 0 to {min(lengths[1:], default=fade)} '
                             f'iterations, the length of the shortest step that is '
                             f'blended in, found {fade}.')
        self.starts, self.fade = starts, fade

    def progress_at(self, iteration: int) -> tuple[int, float]:
        """Returns step and alpha of an iteration, counted from 0."""
        step = sum(start <= iteration for start in self.starts)
        since = iteration - self.starts[step - 1]
        if step == 1 or since >= self.fade:
            return step, 1.0
        return step, (since + 1) / self.fade

    def before_train(self, runner: Any) -> None:
        """Checks that the schedule matches the network and the validation.

        Raises:
            ValueError: it does not.
        """
        model = unwrap(runner.model)
        if not hasattr(model, 'set_progress'):
            raise ValueError(f'ProgressiveHook: {type(model).__name__} has no steps; '
                             'expected fdsr.ProgressiveRestorer.')
        steps = unwrap(model.generator).num_steps
        if len(self.starts) != steps:
            raise ValueError(
                f'ProgressiveHook: {len(self.starts)} starts for a network of {steps} '
                'steps; expected one each.')
        last = self.starts[-1]
        if runner.val_loop is not None and runner.train_loop.val_begin <= last:
            raise ValueError(
                f'train_cfg.val_begin: expected more than {last}, the start of the '
                f'last step, found {runner.train_loop.val_begin}. The images of '
                'earlier steps are smaller than GT.')
        if runner.max_iters <= last + self.fade:
            runner.logger.warning(
                f'The training ends at iteration {runner.max_iters}, before the last '
                f'step is complete (iteration {last + self.fade}). Increase train_cfg.'
                'max_iters, or change the starts of ProgressiveHook.')

    def before_train_iter(self, runner: Any, batch_idx: int,
                          data_batch: Any = None) -> None:
        """Sets step and alpha."""
        unwrap(runner.model).set_progress(*self.progress_at(runner.iter))

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Checks that a resumed run continues the step of its checkpoint.

        Raises:
            CannotResume: the checkpoint is of another step.
        """
        meta = checkpoint.get('meta')
        if not runner._resume or not isinstance(meta, dict):
            return
        saved = meta['fdsr']['backbones'].get('generator', {}).get('step')
        iteration = meta.get('iter')
        if saved is None or type(iteration) is not int or iteration < 1:
            return  # a run without this hook, or a field that FaceRunner checks
        expected, _ = self.progress_at(iteration - 1)
        if saved != expected:
            raise CannotResume(
                f'{runner._load_from} is a checkpoint of step {saved}, but the '
                f'schedule is at step {expected} after {iteration} iterations. Restore '
                'starts of ProgressiveHook, or start a new run from the weights with '
                'model.init_from.')
