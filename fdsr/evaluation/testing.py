"""From a config and a checkpoint to numbers with their protocol."""

import copy
from pathlib import Path
from typing import Any, Dict, Optional, Union

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from fdsr.engine.launch import build_runner
from fdsr.evaluation.protocol import build_protocol, write_metrics, write_rows
from fdsr.models.restorers.prediction import (
    BICUBIC,
    reported_names,
    select_networks,
)
from fdsr.reporting.tables import format_table

_TRAINING = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler',
             'val_dataloader', 'val_cfg', 'val_evaluator')


def networks_to_test(config: Config, checkpoint: Optional[str]) -> Dict[str, Any]:
    """What ``FaceTester`` tests: networks by name, and whether bicubic stands beside.

    Args:
        config: of the training; ``model.test_cfg`` says what is reported.
        checkpoint: a self-describing file; None for a backbone without weights.

    Raises:
        ValueError: a checkpoint is needed and none is given.
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
    """A config's generator, if it is complete without a checkpoint, as bicubic is.

    Raises:
        ValueError: it has weights, or there is none.
    """
    from fdsr.registry import MODELS
    generator = config.model.get('generator')
    if generator is None or list(MODELS.build(generator).parameters()):
        raise ValueError(
            f'{config.filename} describes a network with weights: give the checkpoint '
            f'to test, python tools/test.py {config.filename} CHECKPOINT.')
    return generator


def run_test(config: Config, checkpoint: Optional[str] = None,
             out: Optional[Union[str, Path]] = None,
             save_images: Optional[str] = None, launcher: str = 'none') -> str:
    """Tests a checkpoint on the config's test set.

    Args:
        config: as ``load_config`` returns it.
        checkpoint: see ``networks_to_test``.
        out: the JSON with the results; default: ``metrics.json`` in the work
            directory. Each image's values go into a CSV beside it.
        save_images: folder for the pictures; default: they are not kept.
        launcher: see ``build_runner``.

    Returns:
        The table with its protocol, in Markdown.
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


def protocol_of(runner: Runner) -> Dict[str, Any]:
    """Everything that has to stand beside the numbers of a test."""
    dataset = runner.test_dataloader.dataset
    kernels = dataset.pipeline_protocol()
    return build_protocol(runner.test_evaluator.protocol(), dataset.protocol(),
                          '; '.join(kernels) or 'none')


def tester_config(config: Config, tester: dict,
                  save_images: Optional[str] = None) -> Config:
    """A config of which nothing is left but the test of finished networks.

    Args:
        config: with a test data set, loop and evaluator; it stays as it is.
        tester: config of ``FaceTester``.
        save_images: folder for the pictures; default: they are not kept.
    """
    config = copy.deepcopy(config)
    for key in _TRAINING:
        config.pop(key, None)
    config.model = tester
    config.default_hooks = dict(checkpoint=None, param_scheduler=None)
    config.custom_hooks = ([] if save_images is None else
                           [dict(type='fdsr.SaveImagesHook', out_dir=save_images)])
    config.load_from, config.resume = None, False
    # Nothing is trained, so there is nothing to reduce: a plain wrapper around all.
    config.model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
    return config
