"""Time of an iteration, part by part."""

import statistics
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config

from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows, write_rows
from projects.distillation_study.study.losses import LastInputs


def with_random_teacher(config: Config, teacher_config: str | Path) -> None:
    """Replaces a missing teacher or dictionary by one with random weights.

    Args:
        config: config of a training; changed in place.
        teacher_config: training config of the teacher.
    """
    checkpoint = (config.model.get('teacher') or {}).get('checkpoint')
    if checkpoint and not Path(checkpoint).is_file():
        teacher = load_config(teacher_config, work_dir=config.work_dir)
        with_random_teacher(teacher, teacher_config)
        config.model.teacher = dict(network=teacher.model.generator)
    dictionary = config.model.get('generator', {}).get('dictionary', {})
    if dictionary.get('file') and not Path(dictionary.file).is_file():
        config.model.generator.dictionary = dict(num_atoms=64)


def add_costs(path: Path, config: str, seconds: dict[str, float]) -> None:
    """Adds the parts of an iteration to a table, in place of earlier ones.

    Args:
        path: CSV with the columns config, part and seconds.
        config: name of the config.
        seconds: CPU seconds by part.
    """
    known = read_rows(path) if path.is_file() else []
    write_rows(path, [row for row in known if row['config'] != config] + [
        dict(config=config, part=part, seconds=f'{value:.4f}')
        for part, value in seconds.items()])


def seconds_per_iteration(config: Config, iterations: int) -> dict[str, float]:
    """Returns the median CPU seconds of each part of an iteration.

    Args:
        config: config of a training with its work directory.
        iterations: number of iterations after a first one.

    Returns:
        ``loading a batch``; then the teacher and each arm of a joint run, as if it were
        trained alone, or ``iteration`` of any other.
    """
    from fdsr.engine.launch import build_runner
    loader = {**config.train_dataloader.to_dict(), 'num_workers': 0,
              'persistent_workers': False}
    config.experiment_name = 'timing'
    runner = build_runner(config)
    wrappers = runner.build_optim_wrapper(config.optim_wrapper)
    runner.model.train()
    for module in runner.model.modules():
        if isinstance(module, LastInputs):
            module.active = False  # each arm costs what it costs alone
    batches = iter(runner.build_dataloader(loader, seed=0))
    found: dict[str, list[float]] = {}
    for _ in range(iterations + 1):
        started = time.process_time()
        batch = next(batches)
        loaded = time.process_time()
        runner.model.train_step(batch, optim_wrapper=wrappers)
        parts: dict[str, Any] = getattr(runner.model, 'seconds', {
            'iteration': time.process_time() - loaded})
        for part, seconds in {'loading a batch': loaded - started, **parts}.items():
            found.setdefault(part, []).append(seconds)
    return {part: statistics.median(values[1:]) for part, values in found.items()}
