"""The speed of a training step, with the project's restorers and optimisers."""

import gc
import math
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import Tensor, nn

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.networks import (
    build_restorer,
    config_of,
    drawn_batch,
    modules_to_compile,
)

_WRAPPERS = {
    'fp32': dict(type='OptimWrapper'),
    'bf16': dict(type='fdsr.AutocastOptimWrapper'),
    'fp16': dict(type='AmpOptimWrapper', dtype='float16'),
}
_WARM_UP = 3


class TrainingBench:
    """Measures the training steps of one case; the restorer is built once.

    Args:
        case: the config to train.
        device: ``cuda`` or ``cpu``.
        folder: for temporary files.
    """

    def __init__(self, case: Case, device: str, folder: Path) -> None:
        self.case, self.device = case, device
        self.config = config_of(case, folder)
        torch.backends.cudnn.benchmark = self.config.env_cfg.cudnn_benchmark
        self.model = build_restorer(self.config, case.num_atoms, device)
        self.batch = drawn_batch(self.config)
        # without the atoms, which no step changes
        self._start = {name: value.to('cpu', copy=True)
                       for name, value in self.model.state_dict().items()
                       if '.dictionary.' not in name}

    def move_to(self, device: str) -> None:
        """Moves the restorer, for other cases to have the GPU's memory."""
        self.model.to(device)

    def measure(self, precision: str, mode: str, steps: int, seconds: float,
                backend: str = 'inductor') -> dict[str, Any]:
        """Trains from the initial state and measures.

        Args:
            precision: ``fp32``, ``bf16`` or ``fp16``.
            mode: ``eager`` or ``compile``.
            steps: timed steps at most; they follow the warm-up.
            seconds: after which no more steps are begun.
            backend: of ``torch.compile``.

        Returns:
            Plain values: ``images_per_second``, ``peak_gb``, ``steps``,
            ``batch_size``, ``warm_up_s``, ``finite``, ``losses`` of the last step;
            with a scaler ``loss_scale``, compiled ``compile_s`` and ``graphs``.
        """
        begin = time.monotonic()
        torch.manual_seed(0)
        self.model.load_state_dict(self._start, strict=False)
        wrappers = build_optim_wrapper(
            self.model, with_precision(self.config.optim_wrapper, precision))
        parts = modules_to_compile(self.model, self.case.compiled)
        release(self.device)
        try:
            if mode == 'compile':
                for _, part in parts:
                    part.compile(backend=backend)
            values = self._run(wrappers, steps, begin + seconds)
            if mode == 'compile':
                values.update(compiled=list(self.case.compiled), graphs=_graphs())
            else:
                del values['compile_s']
            return values
        finally:
            self.model.zero_grad(set_to_none=True)
            if mode == 'compile':
                _undo_compile([part for _, part in parts])

    def _run(self, wrappers: Any, steps: int, end: float) -> dict[str, Any]:
        logs = []
        warm_up = self._timed(wrappers, _WARM_UP - 1, logs)
        step = self._timed(wrappers, 1, logs)
        count = max(min(steps, 3), min(steps, int((end - time.monotonic()) / step)))
        spent = self._timed(wrappers, count, logs)
        size = len(self.batch['inputs'])
        finite = bool(torch.stack([torch.stack(list(log.values())).isfinite().all()
                                   for log in logs]).all())
        values = dict(
            images_per_second=count * size / spent, peak_gb=_peak_gb(self.device),
            steps=count, batch_size=size, warm_up_s=warm_up + step,
            compile_s=max(0.0, warm_up + step - _WARM_UP * spent / count),
            finite=finite, losses={
                name: float(value) if math.isfinite(value) else str(float(value))
                for name, value in logs[-1].items()})
        scales = _loss_scales(wrappers)
        return {**values, 'loss_scale': scales} if scales else values

    def _timed(self, wrappers: Any, count: int,
               logs: list[dict[str, Tensor]]) -> float:
        _wait(self.device)
        start = time.perf_counter()
        for _ in range(count):
            log = self.model.train_step(self.batch, wrappers)
            logs.append({name: value.detach().float().mean()
                         for name, value in log.items()})
        _wait(self.device)
        return time.perf_counter() - start


def with_precision(settings: dict[str, Any], precision: str) -> dict[str, Any]:
    """Returns a config's ``optim_wrapper`` for a precision.

    Args:
        settings: one wrapper, or a constructor with one for each group.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """
    if 'constructor' not in settings:
        return {**settings, **_WRAPPERS[precision]}
    return {name: {**value, **_WRAPPERS[precision]} if isinstance(value, dict)
            else value for name, value in settings.items()}


def release(device: str) -> None:
    """Frees unused memory and resets the peak."""
    gc.collect()
    if device == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _wait(device: str) -> None:
    if device == 'cuda':
        torch.cuda.synchronize()


def _peak_gb(device: str) -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if device == 'cuda' else None


def _loss_scales(wrappers: Any) -> dict[str, float]:
    named = (dict(wrappers.items()) if isinstance(wrappers, OptimWrapperDict)
             else {'all': wrappers})
    return {name: wrapper.loss_scaler.get_scale() for name, wrapper in named.items()
            if hasattr(wrapper, 'loss_scaler')}


def _graphs() -> int | None:
    """Returns the number of graphs that torch.compile made, None if unknown."""
    try:
        from torch._dynamo.utils import counters
        return int(counters['stats']['unique_graphs'])
    except (ImportError, KeyError):
        return None


def _undo_compile(modules: list[nn.Module]) -> None:
    import torch._dynamo
    for module in modules:
        module._compiled_call_impl = None
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
