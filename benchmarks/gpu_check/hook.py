"""A hook that reports a training run to the check."""

from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

from fdsr.registry import HOOKS
from fdsr.utils.files import write_json


@HOOKS.register_module()
class GpuCheckHook(Hook):
    """Makes a run deterministic, as far as possible, and records how it ran.

    Operations without a deterministic implementation warn instead of raising an
    error, so that a GPU that lacks one can still be compared.

    Args:
        path: of the JSON file for what was recorded: the iterations, the device and,
            of a distributed run, the backend and the number of processes.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def before_run(self, runner: Any) -> None:
        """Chooses deterministic algorithms."""
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False

    def after_run(self, runner: Any) -> None:
        """Writes the file."""
        distributed = torch.distributed.is_available() and (
            torch.distributed.is_initialized())
        write_json(self.path, dict(
            iterations=runner.iter,
            device=next(runner.model.parameters()).device.type,
            backend=torch.distributed.get_backend() if distributed else None,
            processes=torch.distributed.get_world_size() if distributed else 1))
