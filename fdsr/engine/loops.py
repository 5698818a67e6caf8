"""Loops that go on exactly, and that cope with batches of which nothing is left."""

from typing import Any, Dict, Sequence

from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from fdsr.registry import LOOPS


def is_empty(data_batch: Dict[str, Any]) -> bool:
    """Whether every sample of a batch was skipped."""
    return len(data_batch['inputs']) == 0


@LOOPS.register_module()
class ExactTrainLoop(IterBasedTrainLoop):
    """mmengine's loop over iterations, resumed by position instead of by replay.

    With ``EpochSampler`` the data go on behind the last sample that was used. A batch
    of which every sample was skipped is followed by the next.

    Attributes:
        consumed: samples that all processes together have taken up to now.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.consumed = 0

    def continue_at(self, consumed: int) -> None:
        """Goes on behind this many samples; called when a run is resumed."""
        self.consumed = consumed

    def run(self) -> Any:
        """Trains."""
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        self._move_to_position()
        self._count_accumulation()
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(self._next_batch())
            self._decide_current_val_interval()
            if self._is_time_to_validate():
                runner.val_loop.run()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _next_batch(self) -> Dict[str, Any]:
        while True:
            batch = next(self.dataloader_iterator)
            self.consumed += self.dataloader.batch_size * get_world_size()
            if not is_empty(batch):
                return batch

    def _move_to_position(self) -> None:
        if self._iter == 0:
            return
        sampler = self.dataloader.sampler
        if not hasattr(sampler, 'start_at'):
            raise TypeError(
                f'A run can only be resumed exactly with a sampler that starts '
                f'anywhere, found {type(sampler).__name__}: set train_dataloader.'
                f"sampler=dict(type='fdsr.EpochSampler').")
        sampler.start_at(self.consumed)
        # The iterator that exists has fetched from the beginning already.
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)

    def _count_accumulation(self) -> None:
        """Tells every optimiser the iteration; mmengine leaves several out."""
        wrappers = self.runner.optim_wrapper
        if isinstance(wrappers, OptimWrapperDict):
            for wrapper in wrappers.optim_wrappers.values():
                wrapper.initialize_count_status(
                    self.runner.model, self._iter, self._max_iters)

    def _is_time_to_validate(self) -> bool:
        return (self.runner.val_loop is not None and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0
                     or self._iter == self._max_iters))


@LOOPS.register_module()
class FaceValLoop(ValLoop):
    """mmengine's validation, passing over batches of which nothing is left."""

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """One batch."""
        if not is_empty(data_batch):
            super().run_iter(idx, data_batch)


@LOOPS.register_module()
class FaceTestLoop(TestLoop):
    """mmengine's test, passing over batches of which nothing is left."""

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """One batch."""
        if not is_empty(data_batch):
            super().run_iter(idx, data_batch)
