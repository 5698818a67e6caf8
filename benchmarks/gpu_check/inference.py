"""The speed of a backbone on its own."""

import statistics
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.networks import build_network, config_of
from fdsr.models.autocast import bf16_autocast
from fdsr.profiling.measuring import Clock
from fdsr.profiling.subjects import lr_size_of

_WARM_UP = 2


class InferenceBench:
    """Measures one backbone, which is built once.

    Args:
        case: whose config names the backbone.
        device: ``cuda`` or ``cpu``.
        folder: for temporary files.
    """

    def __init__(self, case: Case, device: str, folder: Path) -> None:
        config = config_of(case, folder)
        torch.backends.cudnn.benchmark = config.env_cfg.cudnn_benchmark
        self.device, self.side = device, lr_size_of(config)
        self.network = build_network(config, device)

    def move_to(self, device: str) -> None:
        """Moves the network, for other cases to have the GPU's memory."""
        self.network.to(device)

    def measure(self, precision: str, batch_size: int, repeats: int,
                seconds: float) -> dict[str, Any]:
        """Times forwards in ``torch.inference_mode``.

        Args:
            precision: ``fp32``, or autocast to ``bf16`` or ``fp16``.
            batch_size: images in a call.
            repeats: timed calls at most.
            seconds: for all calls together, about.

        Returns:
            Plain values: ``images_per_second`` of the median call, ``median_ms``,
            ``peak_gb`` beside the network and its input, ``repeats``, ``batch_size``
            and ``finite``.
        """
        lr = torch.rand(batch_size, 3, self.side, self.side, device=self.device)

        def call() -> torch.Tensor:
            with _precision(precision, self.device):
                return self.network(lr)

        with torch.inference_mode():
            device = torch.device(self.device)
            first = Clock(device, _WARM_UP, 1).milliseconds(call)[0]
            count = max(1, min(repeats, int(seconds * 1e3 / first) - _WARM_UP - 3))
            clock = Clock(device, 0, count)
            median = statistics.median(clock.milliseconds(call))
            peak = clock.peak_mb(call) if self.device == 'cuda' else None
            finite = bool(call().isfinite().all())
        return dict(images_per_second=batch_size * 1e3 / median, median_ms=median,
                    peak_gb=None if peak is None else peak / 1e3, repeats=count,
                    batch_size=batch_size, finite=finite)


def _precision(name: str, device: str) -> AbstractContextManager:
    if name == 'bf16':
        return bf16_autocast(device)
    return torch.autocast(device, torch.float16) if name == 'fp16' else nullcontext()
