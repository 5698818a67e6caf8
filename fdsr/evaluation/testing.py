"""Tests of checkpoints: from a config and a checkpoint to results with protocol."""

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from fdsr.engine.launch import build_runner
from fdsr.evaluation.protocol import (
    build_protocol,
    format_table,
    write_metrics,
    write_rows,
)
from fdsr.models.restorers.prediction import (
    BICUBIC,
    reported_names,
    select_networks,
)

_TRAINING = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
             'val_dataloader', 'val_cfg', 'val_evaluator')


def networks_to_test(config: Config, checkpoint: str | None) -> dict[str, Any]:
    """Returns the arguments ``networks`` and ``bicubic`` of ``FaceTester``.

    Args:
        config: Config of the training; ``model.test_cfg`` lists the tested networks.
        checkpoint: A self-describing file, or None for a backbone without weights.

    Raises:
        ValueError: The network has weights and no checkpoint is given.
    """
    model = config.model
    key = 'generator' if 'generator' in model else 'student'
    report = reported_names(model.get('test_cfg'), key)
    if checkpoint is None:
        found = generator_without_weights(config)
        networks = {name: found for name in report if name != BICUBIC}
    elif key == 'generator':
        networks = {name: dict(checkpoint=checkpoint) for name in report
                    if name != BICUBIC}
    else:
        networks = select_networks(report, {
            'student': dict(checkpoint=checkpoint),
            'teacher': dict(checkpoint=checkpoint, name='teacher')})
    return dict(networks=networks, bicubic=BICUBIC in report)


def generator_without_weights(config: Config) -> dict:
    """Returns the config of a generator without weights, for example bicubic.

    Raises:
        ValueError: The generator has weights, or the config has no generator.
    """
    from fdsr.registry import MODELS
    generator = config.model.get('generator')
    if generator is None or list(MODELS.build(generator).parameters()):
        raise ValueError(
            f'{config.filename} describes a network with weights. Give the checkpoint '
            f'to test: python tools/test.py {config.filename} CHECKPOINT.')
    return generator


def run_test(config: Config, checkpoint: str | None = None,
             out: str | Path | None = None, save_images: str | None = None,
             launcher: str = 'none') -> str:
    """Tests a checkpoint on the config's test set.

    Args:
        config: As ``load_config`` returns it.
        checkpoint: See ``networks_to_test``.
        out: JSON file for the results; default: ``metrics.json`` in the work
            directory. The values of each image go to a CSV with the same stem.
        save_images: Folder for the SR images; default: they are not saved.
        launcher: See ``build_runner``.

    Returns:
        The table with its protocol as Markdown.
    """
    tester = dict(type='fdsr.FaceTester', **networks_to_test(config, checkpoint))
    runner = build_runner(tester_config(config, tester, save_images), launcher)
    runner.test()
    evaluator, dataset = runner.test_evaluator, runner.test_dataloader.dataset
    skipped = max(evaluator.num_skipped, getattr(dataset, 'num_skipped', 0))
    protocol = protocol_of(runner)
    if is_main_process():
        out = Path(out or Path(config.work_dir) / 'metrics.json')
        write_metrics(out, evaluator.models, protocol, evaluator.num_images, skipped)
        write_rows(out.with_suffix('.csv'), evaluator.rows)
    return format_table(evaluator.models, protocol, evaluator.num_images, skipped)


def protocol_of(runner: Runner) -> dict[str, Any]:
    """Returns the protocol of a finished test, see `build_protocol`."""
    dataset, evaluator = runner.test_dataloader.dataset, runner.test_evaluator
    kernels = '; '.join(dataset.pipeline_protocol()) or 'none'
    return build_protocol(
        evaluator.protocol(), dataset.protocol(), kernels, evaluator.infos)


def tester_config(config: Config, tester: dict,
                  save_images: str | None = None) -> Config:
    """Returns a config that only tests finished networks.

    Args:
        config: With test dataset, loop and evaluator; it is not changed.
        tester: Config of ``FaceTester``.
        save_images: Folder for the SR images; default: they are not saved.
    """
    config = copy.deepcopy(config)
    for key in _TRAINING:
        config.pop(key, None)
    config.model = tester
    config.default_hooks = dict(checkpoint=None, param_scheduler=None)
    config.custom_hooks = ([] if save_images is None else
                           [dict(type='fdsr.SaveImagesHook', out_dir=save_images)])
    config.load_from, config.resume = None, False
    # Without trainable parameters, torch's own wrapper raises an error.
    config.model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
    return config
