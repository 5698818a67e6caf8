"""A hook that records how a training run of the check ran."""

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_backend, get_world_size
from mmengine.hooks import Hook

from fdsr.registry import HOOKS
from fdsr.utils.files import write_json


@HOOKS.register_module()
class GpuCheckHook(Hook):
    """Makes a run as deterministic as possible and records how it ran.

    Operations without a deterministic implementation warn instead of raising, so that
    runs with them can still be compared.

    Args:
        path: JSON file for the iterations, device, backend and number of processes.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def before_run(self, runner: Any) -> None:
        """Selects deterministic algorithms."""
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False

    def after_run(self, runner: Any) -> None:
        """Writes the file."""
        write_json(self.path, dict(
            iterations=runner.iter,
            device=next(runner.model.parameters()).device.type,
            backend=get_backend(), processes=get_world_size()))
