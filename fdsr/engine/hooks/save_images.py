"""Saves the images of a test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from PIL import Image

from fdsr.registry import HOOKS


@HOOKS.register_module()
class SaveImagesHook(Hook):
    """Saves each model's output for each test image.

    Outputs go to ``OUT_DIR/MODEL/NAME.png``, LR to ``OUT_DIR/lr`` and HR to
    ``OUT_DIR/hr``.

    Args:
        out_dir: output folder; created if missing.
        limit: number of test images per process; default: all.
    """

    def __init__(self, out_dir: str, limit: int | None = None) -> None:
        self.out_dir = Path(out_dir)
        self.limit = limit
        self._written = 0

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                        outputs: Sequence[Any] | None = None) -> None:
        """Saves the images of a batch."""
        for sample in outputs or []:
            if self.limit is not None and self._written >= self.limit:
                return
            images = {'lr': sample.input, 'hr': sample.gt_img, **sample.predictions}
            for model, image in images.items():
                path = self.out_dir / model / f'{sample.name}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
            self._written += 1
