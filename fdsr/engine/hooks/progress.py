"""How far a test is, where the logger is silent."""

from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from fdsr.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a bar with the time to go while a test runs, and takes it away.

    Args:
        what: is tested.
    """

    def __init__(self, what: str = 'test') -> None:
        self.what = what
        self._bar: Any = None

    def before_test_epoch(self, runner: Any) -> None:
        """Shows the bar."""
        if is_main_process():
            from tqdm import tqdm
            self._bar = tqdm(total=len(runner.test_dataloader), desc=self.what,
                             unit='batch', leave=False, dynamic_ncols=True)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                        outputs: Optional[Any] = None) -> None:
        """Counts a batch."""
        if self._bar is not None:
            self._bar.update()

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
