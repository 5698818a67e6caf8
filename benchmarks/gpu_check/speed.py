"""Builds untrained networks and measures the speed of training and inference."""

import gc
import math
import re
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from benchmarks.gpu_check.cases import Case
from fdsr.datasets.base import collate_samples
from fdsr.engine.config import load_config
from fdsr.geometry.components import FFHQ_EYE_SHARE
from fdsr.models.autocast import bf16_autocast
from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.models.files.checkpoints import save_backbone
from fdsr.profiling.measuring import Clock
from fdsr.profiling.subjects import lr_size_of
from fdsr.registry import DATASETS, MODELS
from fdsr.utils.configs import plain
from fdsr.weights import weights_follow

_WRAPPERS = {
    'fp32': dict(type='OptimWrapper'),
    'bf16': dict(type='fdsr.AutocastOptimWrapper'),
    'fp16': dict(type='AmpOptimWrapper', dtype='float16'),
}
_TRAINING_WARM_UP, _INFERENCE_WARM_UP = 3, 2


def config_of(case: Case, folder: Path) -> Config:
    """Returns a case's config; writes its untrained teacher into the folder."""
    options = dict(case.options)
    if case.teacher is not None:
        path = folder / f'{case.name}_teacher.pth'
        generator = plain(config_of(case.teacher, folder).model.generator)
        with weights_follow():
            save_backbone(MODELS.build(generator), generator, path)
        options['model.teacher.checkpoint'] = str(path)
    config = load_config(case.config, work_dir=str(folder), cfg_options=options)
    if case.batch_size is not None:
        config.train_dataloader.batch_size = case.batch_size
    return config


def build_restorer(config: Config, num_atoms: int, device: str) -> nn.Module:
    """Builds a config's restorer in training mode, with random weights."""
    torch.manual_seed(0)
    # the check itself announces random weights, once for all cases
    with weights_follow():
        model = MODELS.build(config.model)
    fill_dictionaries(model.to(device), num_atoms, device)
    # the last iteration enables every scheduled loss
    MessageHub.get_current_instance().update_info('iter', config.train_cfg.max_iters)
    return model.train()


def build_network(config: Config, device: str) -> nn.Module:
    """Builds the backbone that a config trains, in eval mode."""
    settings = config.model.get('generator') or config.model.student
    with weights_follow():
        return MODELS.build(settings).eval().to(device)


@torch.no_grad()
def fill_dictionaries(model: nn.Module, num_atoms: int, device: str) -> None:
    """Gives every teacher in a model a dictionary of random fp16 atoms.

    They are created on the device: on the CPU, 512 atoms take ten seconds, and a
    checkpoint with them would be 0.8 GB.
    """
    generator = torch.Generator(device).manual_seed(0)
    for teacher in list(model.modules()):
        if not isinstance(teacher, DictionaryTeacher):
            continue
        old = teacher.dictionary.spec
        spec = DictionarySpec.uniform(old.channels, old.sides, num_atoms, old.unbiased)
        with torch.device(device):
            teacher.dictionary = ComponentDictionary(spec, torch.float16)
        for component, level in spec.slots():
            teacher.dictionary.set_atoms(component, level, torch.randn(
                spec.atom_shape(component, level), generator=generator, device=device))


def synthetic_batch(config: Config) -> dict[str, Any]:
    """Returns a batch of synthetic faces, collated as by the config's data loader."""
    loader = config.train_dataloader
    dataset = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', length=loader.batch_size,
        size=loader.dataset.size, eye_share=FFHQ_EYE_SHARE,
        pipeline=loader.dataset.pipeline))
    return collate_samples([dataset[index] for index in range(len(dataset))])


def modules_to_compile(model: nn.Module, patterns: tuple[str, ...]) -> list[nn.Module]:
    """Returns the modules at the given paths; ``*`` stands for one path segment.

    Raises:
        ValueError: a pattern matches no module.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    found = []
    for pattern in patterns:
        expression = re.escape(pattern).replace(r'\*', r'[^.]+')
        names = [name for name in modules if re.fullmatch(expression, name)]
        if not names:
            raise ValueError(
                f'{type(model).__name__} has no module {pattern} to compile: correct '
                'the paths in benchmarks/gpu_check/cases.py.')
        found += [modules[name] for name in names]
    return found


class TrainingBench:
    """Measures the training steps of one case. The restorer is built once."""

    def __init__(self, case: Case, device: str, folder: Path) -> None:
        self.case, self.device = case, device
        self.config = config_of(case, folder)
        torch.backends.cudnn.benchmark = self.config.env_cfg.cudnn_benchmark
        self.model = build_restorer(self.config, case.num_atoms, device)
        self.batch = synthetic_batch(self.config)
        # without the atoms, which no step changes
        self._start = {name: value.to('cpu', copy=True)
                       for name, value in self.model.state_dict().items()
                       if '.dictionary.' not in name}

    def measure(self, precision: str, mode: str, steps: int, seconds: float,
                backend: str = 'inductor') -> dict[str, Any]:
        """Trains from the initial state and returns measurements, ready for JSON.

        Args:
            precision: ``fp32``, ``bf16`` or ``fp16``.
            mode: ``eager`` or ``compile``.
            steps: maximum number of timed steps, after the warm-up.
            seconds: time after which no more steps start.
            backend: backend of ``torch.compile``.
        """
        end = time.monotonic() + seconds
        torch.manual_seed(0)
        self.model.load_state_dict(self._start, strict=False)
        wrappers = build_optim_wrapper(
            self.model, with_precision(self.config.optim_wrapper, precision))
        compiled = (modules_to_compile(self.model, self.case.compiled)
                    if mode == 'compile' else [])
        release(self.device)
        try:
            for module in compiled:
                module.compile(backend=backend)
            values = self._run(wrappers, steps, end)
            if compiled:
                values.update(compiled=list(self.case.compiled), graphs=_graphs())
            else:
                del values['compile_s']
            return values
        finally:
            self.model.zero_grad(set_to_none=True)
            if compiled:
                _undo_compile(compiled)

    def _run(self, wrappers: Any, steps: int, end: float) -> dict[str, Any]:
        logs: list[dict[str, Tensor]] = []
        warm_up = self._timed(wrappers, _TRAINING_WARM_UP - 1, logs)
        step = self._timed(wrappers, 1, logs)
        count = max(min(steps, 3), min(steps, int((end - time.monotonic()) / step)))
        spent = self._timed(wrappers, count, logs)
        size = len(self.batch['inputs'])
        finite = all(bool(value.isfinite()) for log in logs for value in log.values())
        values = dict(
            images_per_second=count * size / spent, steps=count, batch_size=size,
            peak_gb=(torch.cuda.max_memory_allocated() / 1e9
                     if self.device == 'cuda' else None),
            warm_up_s=warm_up + step, finite=finite,
            compile_s=max(0.0, warm_up + step - _TRAINING_WARM_UP * spent / count),
            losses={name: float(value) if math.isfinite(value) else str(float(value))
                    for name, value in logs[-1].items()})
        scales = _loss_scales(wrappers)
        return {**values, 'loss_scale': scales} if scales else values

    def _timed(self, wrappers: Any, count: int,
               logs: list[dict[str, Tensor]]) -> float:
        self._synchronize()
        start = time.perf_counter()
        for _ in range(count):
            log = self.model.train_step(self.batch, wrappers)
            logs.append({name: value.detach().float().mean()
                         for name, value in log.items()})
        self._synchronize()
        return time.perf_counter() - start

    def _synchronize(self) -> None:
        if self.device == 'cuda':
            torch.cuda.synchronize()


def with_precision(settings: dict[str, Any], precision: str) -> dict[str, Any]:
    """Returns a config's ``optim_wrapper``, for a precision."""
    if 'constructor' not in settings:
        return {**settings, **_WRAPPERS[precision]}
    return {name: {**value, **_WRAPPERS[precision]} if isinstance(value, dict)
            else value for name, value in settings.items()}


def release(device: str) -> None:
    """Frees unused memory and resets the recorded peak."""
    gc.collect()
    if device == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _loss_scales(wrappers: Any) -> dict[str, float]:
    named = getattr(wrappers, 'optim_wrappers', {'all': wrappers})
    return {name: wrapper.loss_scaler.get_scale() for name, wrapper in named.items()
            if hasattr(wrapper, 'loss_scaler')}


def _graphs() -> int:
    from torch._dynamo.utils import counters
    return int(counters['stats']['unique_graphs'])


def _undo_compile(modules: list[nn.Module]) -> None:
    import torch._dynamo
    for module in modules:
        module._compiled_call_impl = None
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


class InferenceBench:
    """Measures the backbone of one case, which is built once."""

    def __init__(self, case: Case, device: str, folder: Path) -> None:
        config = config_of(case, folder)
        torch.backends.cudnn.benchmark = config.env_cfg.cudnn_benchmark
        self.device, self.side = device, lr_size_of(config)
        self.model = build_network(config, device)

    def measure(self, precision: str, batch_size: int, repeats: int,
                seconds: float) -> dict[str, Any]:
        """Times forward calls in ``torch.inference_mode``.

        Args:
            precision: ``fp32``, or autocast to ``bf16`` or ``fp16``.
            batch_size: images in a call.
            repeats: maximum number of timed calls.
            seconds: approximate time for all calls together.
        """
        lr = torch.rand(batch_size, 3, self.side, self.side, device=self.device)

        def call() -> Tensor:
            with _autocast(precision, self.device):
                return self.model(lr)

        with torch.inference_mode():
            device = torch.device(self.device)
            first = Clock(device, _INFERENCE_WARM_UP, 1).milliseconds(call)[0]
            count = int(seconds * 1e3 / first) - _INFERENCE_WARM_UP - 3
            count = max(1, min(repeats, count))
            clock = Clock(device, 0, count)
            median = statistics.median(clock.milliseconds(call))
            peak = clock.peak_mb(call) if self.device == 'cuda' else None
            finite = bool(call().isfinite().all())
        return dict(images_per_second=batch_size * 1e3 / median, median_ms=median,
                    peak_gb=None if peak is None else peak / 1e3, repeats=count,
                    batch_size=batch_size, finite=finite)


BENCHES = {'training': TrainingBench, 'inference': InferenceBench}


def _autocast(precision: str, device: str) -> AbstractContextManager:
    if precision == 'bf16':
        return bf16_autocast(device)
    return torch.autocast(device, torch.float16) if precision == 'fp16' else (
        nullcontext())
