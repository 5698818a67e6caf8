"""Loops that resume exactly and skip batches without samples."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from fdsr.engine.random_states import same_random_states_after, set_random_states
from fdsr.registry import LOOPS


def is_empty(data_batch: dict[str, Any]) -> bool:
    """Returns True if every sample of a batch was skipped."""
    return len(data_batch['inputs']) == 0


@LOOPS.register_module()
class ExactTrainLoop(IterBasedTrainLoop):
    """mmengine's iteration-based loop, resumed by position and not by replay.

    With ``EpochSampler``, a resumed run continues after the last used sample. Batches
    whose samples were all skipped are replaced by the next.

    A checkpoint is saved before the validation of its iteration, so a resumed run
    repeats that validation.

    Attributes:
        consumed: number of samples used so far by all processes together, if each had
            lost as many batches as this one. A process that replaces a batch without
            samples moves on by one batch, the others do not.
        resumed_position: the position of a resumed run, set by ``FaceRunner``; None in
            a new run, or if the checkpoint has no position.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.consumed = 0
        self.resumed_position: Any = None

    def run(self) -> Any:
        """Trains until the last iteration."""
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        self._count_accumulation()
        if self._iter > 0:
            self._move_to_position()
            self._decide_current_val_interval()
            if self._is_time_to_validate():
                runner.val_loop.run()
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(self._next_batch())
            self._decide_current_val_interval()
            if self._is_time_to_validate():
                runner.val_loop.run()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _next_batch(self) -> dict[str, Any]:
        while True:
            batch = next(self.dataloader_iterator)
            self.consumed += self.dataloader.batch_size * get_world_size()
            if not is_empty(batch):
                return batch

    def _move_to_position(self) -> None:
        position, sampler = self.resumed_position, self.dataloader.sampler
        if not hasattr(sampler, 'start_at'):
            raise TypeError(
                f'Exact resume needs a sampler with a start position, found '
                f'{type(sampler).__name__}: set train_dataloader.'
                f"sampler=dict(type='fdsr.EpochSampler').")
        if position is None:
            self.runner.logger.warning(
                'The checkpoint was saved without fdsr.ExactResumeHook: the resume is '
                'not exact.')
            self.consumed = self._iter * self.dataloader.batch_size * get_world_size()
        else:
            self.consumed = position.consumed
            if position.sampler_seed is not None:
                sampler.seed = position.sampler_seed
        sampler.start_at(self.consumed)
        # The existing iterator has already fetched batches from the beginning.
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)
        # Last, because a new iterator draws a random number
        if position is not None and position.random is not None:
            set_random_states(position.random)
        else:
            torch.manual_seed(self._iter * 1000003 + get_rank())

    def _count_accumulation(self) -> None:
        """Initializes the counters of every optimizer; mmengine omits several."""
        wrappers = self.runner.optim_wrapper
        if isinstance(wrappers, OptimWrapperDict):
            for wrapper in wrappers.optim_wrappers.values():
                wrapper.initialize_count_status(
                    self.runner.model, self._iter, self._max_iters)

    def _is_time_to_validate(self) -> bool:
        return (self.runner.val_loop is not None and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0
                     or self._iter == self._max_iters))


class _SkipEmpty:
    """Skips batches without samples."""

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Runs a batch that has samples."""
        if not is_empty(data_batch):
            super().run_iter(idx, data_batch)


@LOOPS.register_module()
class FaceValLoop(_SkipEmpty, ValLoop):
    """mmengine's validation loop, which also skips batches without samples.

    A validation does not change the random numbers of the training.
    """

    def run(self) -> dict:
        """Returns the results of a validation."""
        with same_random_states_after():
            return super().run()


@LOOPS.register_module()
class FaceTestLoop(_SkipEmpty, TestLoop):
    """mmengine's test loop, which also skips batches without samples."""
