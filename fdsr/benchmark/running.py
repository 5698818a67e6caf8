"""A table of methods: each measured once, on one data set, under one protocol."""

import hashlib
import itertools
import json
import logging
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Union

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor, nn

import fdsr
from fdsr.benchmark.methods import Method, methods_of, network_config
from fdsr.engine.launch import build_runner
from fdsr.evaluation.protocol import read_rows, write_rows
from fdsr.evaluation.testing import protocol_of, tester_config
from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.restorers.face_tester import build_network
from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import DETECTION, NOT_MEASURED, Part, profile_backbone
from fdsr.registry import DATASETS, EVALUATORS
from fdsr.utils.files import write_json
from fdsr.weights import sha256_of

Facts = Dict[str, Any]
_FORMAT = 1
_PROFILE = dict(batch_sizes=[1, 8], warmup=1, repeats=5)
_PROFILED_FACES = 8


@dataclass
class Row:
    """What is known of a method.

    Args:
        method: whose row it is.
        problem: why there are no numbers; empty if there are.
        failed: the checkpoint is there, but could not be measured.
        values: {column: {image: value}}.
        set_values: {column: value} of metrics over the whole set.
        facts: protocol, num_images, skipped, caption, profile.
    """

    method: Method
    problem: str = ''
    failed: bool = False
    values: Dict[str, Dict[str, float]] = field(default_factory=dict)
    set_values: Dict[str, float] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


def run_benchmark(config: Config, out: Union[str, Path],
                  after_each: Callable[[List[Row]], None] = lambda rows: None
                  ) -> List[Row]:
    """Measures every method that is not measured yet.

    A method's numbers lie in ``out/rows``: they are used again as long as the
    checkpoint, the faces and the metrics are the same. If only the way of profiling
    differs, the costs are measured again. A method that cannot be measured is a row
    that says why.

    Args:
        config: as ``load_config`` returns it: rows, test_dataloader, test_evaluator,
            and perhaps ``profile``, arguments of ``profile_backbone``, or False.
        out: folder of the table.
        after_each: called with the rows so far.

    Returns:
        The rows, in the config's order.

    Raises:
        ValueError: see ``methods_of``.
        ImportError, FileNotFoundError: the data are missing, or a metric lacks what
            it needs.
    """
    methods = methods_of(config)
    EVALUATORS.build(config.test_evaluator)  # what is missing shows before the work
    dataset = DATASETS.build(config.test_dataloader.dataset)
    setting = dict(
        data=dataset.protocol(), faces=dataset.fingerprint(),
        pipeline=dataset.pipeline_protocol(),
        evaluator=config.test_evaluator.to_dict())
    lr = _some_lr(dataset)
    rows: List[Row] = []
    for number, method in enumerate(methods, start=1):
        _log(f'{number} of {len(methods)}: {method.name}')
        rows.append(_row(method, config, setting, lr, Path(out) / 'rows'))
        after_each(rows)
    return rows


def _row(method: Method, config: Config, setting: Facts, lr: Tensor,
         folder: Path) -> Row:
    """The row of a method: kept from before, measured now, or what is wrong."""
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
            _log(f'{method.name}: measured before, kept from {folder}')
        if row.facts.get('profiled_by', row) != _profile_settings(config):
            row.facts['profile'] = _profile(method, network, lr, config)
            row.facts['profiled_by'] = _profile_settings(config)
            _write(row, key, folder)
        return row
    except Exception as error:  # the other rows do not depend on this one
        _log(f'{method.name}: {error}\n{traceback.format_exc()}', logging.ERROR)
        return Row(method, ' '.join(str(error).split()), failed=True)


def _key(method: Method, network: Facts, setting: Facts) -> str:
    """What a method's numbers depend on, as a hash."""
    checkpoint = method.checkpoint and sha256_of(method.checkpoint)
    facts = dict(setting, network={**network, 'checkpoint': checkpoint},
                 format=_FORMAT, version=fdsr.__version__)
    return hashlib.sha256(
        json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _measure(method: Method, network: Facts, config: Config) -> Row:
    settings = tester_config(
        config, dict(type='fdsr.FaceTester', networks={method.name: network}))
    settings.experiment_name = f'{method.slug}_{time.time_ns()}'
    # mmengine tells the whole environment and config of each of its runs
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
            f'{tested.num_not_found} of {tested.num_seen} faces were not found on the '
            'up-sampled LR picture and got the boxes of the template.',
            logger='current', level=logging.WARNING)
    row.facts = dict(
        protocol=protocol_of(runner), scale=dataset.setting().get('scale'),
        num_images=evaluator.num_images,
        skipped=max(evaluator.num_skipped, getattr(dataset, 'num_skipped', 0)),
        caption=tested.caption() if hasattr(tested, 'caption') else '')
    return row


def _some_lr(dataset: Any) -> Tensor:
    """LR, (B, 3, h, w) in [0, 1], of the first samples that can be read.

    Raises:
        ValueError: none of them can.
    """
    samples = (dataset[index] for index in range(len(dataset)))
    found = list(itertools.islice(
        (sample['inputs'] for sample in samples if sample is not None),
        _PROFILED_FACES))
    if not found:
        raise ValueError(
            f'{dataset.name}: none of the {len(dataset)} samples can be read; see '
            f'{dataset.report.path}.')
    return torch.stack(found) / 255


def _profile_settings(config: Config) -> Optional[Facts]:
    given = config.get('profile')
    if given is False:
        return None
    return {**_PROFILE, **({} if given is None else given.to_dict())}


def _profile(method: Method, network: Facts, lr: Tensor,
             config: Config) -> Optional[Facts]:
    """The costs of a network that nothing was done to, as the tester does."""
    settings = _profile_settings(config)
    if settings is None:
        return None
    bare = {key: value for key, value in network.items() if key != 'landmarks'}
    built, detection = build_network(bare), None
    if built.uses_boxes:  # in use, landmarks have to be detected first
        detection = _detection(built, method.landmarks, lr, settings)
    return profile_backbone(built, lr_size=lr.shape[-1], device=str(get_device()),
                            detection=detection, **settings).to_dict()


def _detection(network: nn.Module, detector: Optional[Facts], lr: Tensor,
               settings: Facts) -> Part:
    try:
        finder = DetectedBoxes(network, detector)
        return detection_part(finder.load_detector(), finder.pictures(lr),
                              warmup=settings['warmup'], repeats=settings['repeats'])
    except ImportError as error:
        return Part(DETECTION, note=f'{NOT_MEASURED}: {error}')


def _write(row: Row, key: str, folder: Path) -> None:
    names = sorted(next(iter(row.values.values()), {}))
    path = folder / f'{row.method.slug}.json'
    # a row is finished when this file is there: it goes first and comes last
    path.unlink(missing_ok=True)
    if names:
        write_rows(path.with_suffix('.csv'), [
            dict(name=name, **{column: values[name]
                               for column, values in row.values.items()})
            for name in names])
    write_json(path, dict(key=key, method=asdict(row.method),
                          set_values=row.set_values, facts=row.facts))


def _read(method: Method, key: str, folder: Path) -> Optional[Row]:
    """What was measured of this very method, or None."""
    path = folder / f'{method.slug}.json'
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    if content.get('key') != key:
        return None
    row = Row(method, set_values=content['set_values'], facts=content['facts'])
    values = path.with_suffix('.csv')
    for line in read_rows(values) if values.is_file() else []:
        name = line.pop('name')
        for column, value in line.items():
            row.values.setdefault(column, {})[name] = float(value)
    return row


def _log(message: str, level: int = logging.INFO) -> None:
    # runs of mmengine change what its loggers let through
    print_log(message, logger=None, level=level)
