"""Runs a benchmark: measures each method once, on one dataset and by one protocol."""

import hashlib
import itertools
import json
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor, nn

import fdsr
from fdsr.benchmark.methods import Method, methods_of, network_config
from fdsr.engine.launch import build_runner
from fdsr.evaluation.metric_info import MetricInfo, column_infos
from fdsr.evaluation.testing import protocol_of, tester_config
from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.files.checkpoints import load_backbone
from fdsr.models.restorers.face_tester import build_network
from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import DETECTION, NOT_MEASURED, Part, profile_backbone
from fdsr.registry import DATASETS, EVALUATORS
from fdsr.utils.files import write_json
from fdsr.weights import sha256_of

Facts = dict[str, Any]
_FORMAT = 2
_PROFILE = dict(batch_sizes=[1, 8], warmup=1, repeats=5)
_PROFILED_FACES = 8


@dataclass
class Row:
    """The results of one method.

    Args:
        method: The method.
        problem: Why there are no results; empty if there are.
        failed: Whether the checkpoint exists but could not be measured.
        values: {column: {image: value}}.
        set_values: {column: value} of the metrics with one value per set.
        facts: protocol, num_images, skipped, caption, profile.
    """

    method: Method
    problem: str = ''
    failed: bool = False
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    set_values: dict[str, float] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


def run_benchmark(config: Config, out: str | Path,
                  after_each: Callable[[list[Row]], None] = lambda rows: None
                  ) -> list[Row]:
    """Measures every method that has no stored results.

    Results are stored in ``out/rows`` and reused while the checkpoint, the faces and
    the metrics are the same. If only the profile settings change, only the costs are
    measured again. A method that cannot be measured becomes a row with the reason.

    Args:
        config: As ``load_config`` returns it, with rows, test_dataloader,
            test_evaluator and optionally ``profile``: arguments of
            ``profile_backbone``, or False.
        out: Folder of the table.
        after_each: Called with all rows so far after each row.

    Returns:
        The rows in the order of the config.

    Raises:
        ValueError: See ``methods_of``.
        ImportError, FileNotFoundError: The data or the requirements of a metric are
            missing.
    """
    methods = methods_of(config)
    EVALUATORS.build(config.test_evaluator)  # fails before the measurements start
    dataset = DATASETS.build(config.test_dataloader.dataset)
    setting = dict(
        data=dataset.protocol(), faces=dataset.fingerprint(),
        pipeline=dataset.pipeline_protocol(),
        evaluator=config.test_evaluator.to_dict())
    lr = _some_lr(dataset)
    rows: list[Row] = []
    for number, method in enumerate(methods, start=1):
        _log(f'{number} of {len(methods)}: {method.name}')
        rows.append(_row(method, config, setting, lr, Path(out) / 'rows'))
        after_each(rows)
    return rows


def _row(method: Method, config: Config, setting: Facts, lr: Tensor,
         folder: Path) -> Row:
    """Returns the stored row of a method, a new one, or one with the problem."""
    if method.missing():
        return Row(method, method.missing())
    try:
        network = network_config(method, config)
        key = _key(method, network, setting)
        row = _read(method, key, folder)
        if row is None:
            row = _measure(method, network, config)
            _write(row, key, folder)
        else:
            _log(f'{method.name}: reusing the results in {folder}')
        profiled_by = _profiled_by(method, config)
        if row.facts.get('profiled_by', row) != profiled_by:
            row.facts['profile'] = _profile(method, network, lr, config)
            row.facts['training_profile'] = _training_profile(method, config)
            row.facts['profiled_by'] = profiled_by
            _write(row, key, folder)
        return row
    except Exception as error:  # the other rows are measured nevertheless
        _log(f'{method.name}: {error}\n{traceback.format_exc()}', logging.ERROR)
        return Row(method, ' '.join(str(error).split()), failed=True)


def _key(method: Method, network: Facts, setting: Facts) -> str:
    """Returns a hash of everything that a method's results depend on."""
    checkpoint = method.checkpoint and sha256_of(method.checkpoint)
    facts = dict(setting, network={**network, 'checkpoint': checkpoint},
                 format=_FORMAT, version=fdsr.__version__)
    return hashlib.sha256(
        json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _measure(method: Method, network: Facts, config: Config) -> Row:
    settings = tester_config(
        config, dict(type='fdsr.FaceTester', networks={method.name: network}))
    settings.experiment_name = f'{method.slug}_{time.time_ns()}'
    # At level INFO mmengine logs the environment and the config of every run.
    settings.log_level = 'WARNING'
    settings.custom_hooks = [dict(type='fdsr.ProgressHook', what=method.name)]
    runner = build_runner(settings)
    runner.test()
    evaluator, dataset = runner.test_evaluator, runner.test_dataloader.dataset
    row = Row(method)
    for measured in evaluator.rows:
        for column, value in measured.items():
            if column not in ('name', 'model'):
                row.values.setdefault(column, {})[measured['name']] = value
    row.set_values = {
        column: value for column, value in evaluator.models[method.name].items()
        if column not in row.values}
    tested = runner.model.networks[method.name]
    if getattr(tested, 'num_not_found', 0):
        print_log(
            f'{tested.num_not_found} of {tested.num_seen} faces were not detected on '
            'the upsampled LR image. They use the boxes of the template.',
            logger='current', level=logging.WARNING)
    row.facts = dict(
        protocol=protocol_of(runner), scale=dataset.geometry().get('scale'),
        num_images=evaluator.num_images,
        skipped=max(evaluator.num_skipped, getattr(dataset, 'num_skipped', 0)),
        caption=tested.caption() if hasattr(tested, 'caption') else '')
    return row


def _some_lr(dataset: Any) -> Tensor:
    """Returns LR (B, 3, h, w) in [0, 1] of the first readable samples."""
    samples = (dataset[index] for index in range(len(dataset)))
    found = list(itertools.islice(
        (sample['inputs'] for sample in samples if sample is not None),
        _PROFILED_FACES))
    if not found:
        raise ValueError(
            f'{dataset.name}: none of the {len(dataset)} samples can be read. See '
            f'{dataset.report.path}.')
    return torch.stack(found) / 255


def _profile_settings(config: Config) -> Facts | None:
    given = config.get('profile')
    if given is False:
        return None
    return {**_PROFILE, **({} if given is None else given.to_dict())}


def _profiled_by(method: Method, config: Config) -> Facts | None:
    """Returns what the profiles depend on beside the method's network."""
    settings, path = _profile_settings(config), method.training_network
    if settings is None or path is None or not Path(path).is_file():
        return settings
    return {**settings, 'training_network': sha256_of(path)}


def _training_profile(method: Method, config: Config) -> Facts | None:
    """Returns the cost of the network that only the training uses, on HR."""
    settings, path = _profile_settings(config), method.training_network
    if settings is None or path is None or not Path(path).is_file():
        return None
    network = load_backbone(path)
    return profile_backbone(network, lr_size=network.size // network.scale,
                            device=str(get_device()), **settings).to_dict()


def _profile(method: Method, network: Facts, lr: Tensor,
             config: Config) -> Facts | None:
    """Returns the costs of the network without the wrapper for detected boxes."""
    settings = _profile_settings(config)
    if settings is None:
        return None
    bare = {key: value for key, value in network.items() if key != 'landmarks'}
    built, detection = build_network(bare), None
    if built.uses_boxes:  # in use, the boxes are detected
        detection = _detection(built, method.landmarks, lr, settings)
    return profile_backbone(built, lr_size=lr.shape[-1], device=str(get_device()),
                            detection=detection, **settings).to_dict()


def _detection(network: nn.Module, detector: Facts | None, lr: Tensor,
               settings: Facts) -> Part:
    try:
        finder = DetectedBoxes(network, detector)
        return detection_part(finder.load_detector(), finder.images(lr),
                              warmup=settings['warmup'], repeats=settings['repeats'])
    except ImportError as error:
        return Part(DETECTION, note=f'{NOT_MEASURED}: {error}')


def _write(row: Row, key: str, folder: Path) -> None:
    # As text, because JSON has no infinity: the PSNR of equal images.
    values = {column: {name: str(value) for name, value in found.items()}
              for column, found in row.values.items()}
    write_json(folder / f'{row.method.slug}.json', dict(
        key=key, method=asdict(row.method), values=values, set_values=row.set_values,
        facts=row.facts))


def _read(method: Method, key: str, folder: Path) -> Row | None:
    """Returns the stored row if its key is the same, otherwise None."""
    path = folder / f'{method.slug}.json'
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    if content.get('key') != key:
        return None
    values = {column: {name: float(value) for name, value in found.items()}
              for column, found in content['values'].items()}
    return Row(method, values=values, set_values=content['set_values'],
               facts=content['facts'])


def stored_info(out: str | Path, column: str) -> MetricInfo:
    """Returns the info of a column, from stored rows or else by the metric's name.

    Args:
        out: Folder of the table, as for ``run_benchmark``.
        column: Name of the column.

    Raises:
        ValueError: See ``metric_info``.
    """
    protocol: Facts = {}
    for path in sorted((Path(out) / 'rows').glob('*.json')):
        protocol = json.loads(path.read_text(encoding='utf-8'))['facts']['protocol']
        if column in protocol.get('columns', {}):
            break
    return column_infos(protocol, [column])[column]


def _log(message: str, level: int = logging.INFO) -> None:
    # Not 'current': mmengine's runs change the level of that logger.
    print_log(message, logger=None, level=level)
