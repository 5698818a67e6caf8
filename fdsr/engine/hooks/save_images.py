"""Test results as pictures."""

from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.hooks import Hook
from PIL import Image
from torch import Tensor

from fdsr.registry import HOOKS


@HOOKS.register_module()
class SaveImagesHook(Hook):
    """Writes what each model makes of each test picture.

    ``DIR/MODEL/NAME.png``; LR and HR stand beside them as ``DIR/lr`` and ``DIR/hr``.

    Args:
        out_dir: DIR; made if it is not there.
        limit: write the first so many pictures of each process only; default: all.
    """

    def __init__(self, out_dir: str, limit: Optional[int] = None) -> None:
        self.out_dir = Path(out_dir)
        self.limit = limit
        self._written = 0

    def after_test_iter(self, runner: Any, batch_idx: int,
                        data_batch: Optional[Any] = None,
                        outputs: Optional[Sequence[Any]] = None) -> None:
        """Writes the pictures of a batch."""
        for sample in outputs or []:
            if self.limit is not None and self._written >= self.limit:
                return
            pictures = {'lr': sample.input, 'hr': sample.gt_img, **sample.predictions}
            for model, image in pictures.items():
                self._write(image, model, sample.name)
            self._written += 1

    def _write(self, image: Tensor, model: str, name: str) -> None:
        path = self.out_dir / model / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
