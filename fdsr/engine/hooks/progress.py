"""Shows the progress of a test."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from fdsr.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a progress bar while a test runs.

    Args:
        what: label of the bar.
    """

    def __init__(self, what: str = 'test') -> None:
        self.what = what
        self._bar: Any = None

    def before_test_epoch(self, runner: Any) -> None:
        """Shows the bar in the main process."""
        if is_main_process():
            from tqdm import tqdm
            self._bar = tqdm(total=len(runner.test_dataloader), desc=self.what,
                             unit='batch', leave=False, dynamic_ncols=True)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                        outputs: Any = None) -> None:
        """Counts a batch."""
        if self._bar is not None:
            self._bar.update()

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
