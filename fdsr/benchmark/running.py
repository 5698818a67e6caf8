"""A table of methods: each measured once, on one data set, under one protocol."""

import hashlib
import json
import logging
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

import fdsr
from fdsr.checkpoints import CheckpointMismatch
from fdsr.engine.config import load_config
from fdsr.engine.launch import build_runner
from fdsr.evaluation.protocol import read_rows, write_json, write_rows
from fdsr.evaluation.testing import (
    generator_without_weights,
    protocol_of,
    tester_config,
)
from fdsr.models.restorers.face_tester import build_network
from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import profile_backbone
from fdsr.registry import DATASETS
from fdsr.weights import RefusedCheckpointError, sha256_of

Facts = Dict[str, Any]
_FORMAT = 1
_PROFILE = dict(batch_sizes=[1, 8], warmup=1, repeats=5)


@dataclass(frozen=True)
class Method:
    """One row of the table, as a benchmark's config names it.

    Args:
        name: in the table.
        checkpoint: a self-describing file, from the working directory.
        config: for a backbone without weights: the config that describes it, from the
            folder of the benchmark's config.
        member: which of the checkpoint's backbones; default: the trained one.
        landmarks: config of a detector: the boxes come from landmarks found on the
            up-sampled LR picture, not from HR's.
        paper: the paper's own numbers, by column.
    """

    name: str
    checkpoint: Optional[str] = None
    config: Optional[str] = None
    member: Optional[str] = None
    landmarks: Optional[dict] = None
    paper: Dict[str, float] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as a file's name."""
        words = re.sub(r'[^a-z0-9]+', '_', self.name.lower()).strip('_')
        return f'{words}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}'


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


def methods_of(config: Config) -> List[Method]:
    """The methods that a benchmark's config lists.

    Raises:
        ValueError: none, two of one name, an unknown key, or a reference that is not
            among them.
    """
    methods = []
    for number, row in enumerate(config.get('rows') or []):
        unknown = set(row) - set(Method.__dataclass_fields__)
        if unknown or 'name' not in row:
            raise ValueError(
                f'{config.filename}: rows[{number}] needs a name and takes '
                f'{", ".join(Method.__dataclass_fields__)}; found {sorted(row)}.')
        methods.append(Method(**row.to_dict()))
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f'{config.filename}: rows has to list methods of different names, found '
            f'{names or "none"}.')
    reference = config.get('reference')
    if reference is not None and reference not in names:
        raise ValueError(
            f'{config.filename}: reference={reference!r} is none of the rows, {names}.')
    return methods


def set_checkpoints(config: Config, options: Sequence[str]) -> None:
    """Gives rows of a benchmark's config other checkpoints.

    Args:
        config: changed in place.
        options: NAME=PATH each; the name is a row's.

    Raises:
        ValueError: an option is no NAME=PATH, or no row has that name.
    """
    rows = {row.name: row for row in config.rows}
    for option in options:
        # names may hold a '=', paths rarely do
        name, equals, path = option.rpartition('=')
        if not equals or name not in rows:
            raise ValueError(
                f'--checkpoint takes NAME=PATH with a name of {", ".join(rows)}; found '
                f'{option!r}.')
        rows[name].checkpoint = path


def run_benchmark(config: Config, out: Union[str, Path]) -> List[Row]:
    """Measures every method that is not measured yet.

    A method's numbers lie in ``out/rows``: they are used again as long as the
    checkpoint, the data set and the metrics are the same. If only the way of profiling
    differs, the costs are measured again.

    Args:
        config: as ``load_config`` returns it: rows, test_dataloader, test_evaluator.
        out: folder of the table.

    Returns:
        The rows, in the config's order.
    """
    methods = methods_of(config)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    setting = dict(
        data=dataset.protocol(), pipeline=dataset.pipeline_protocol(),
        evaluator=config.test_evaluator.to_dict())
    lr = _first_lr(dataset)
    rows, started = [], time.monotonic()
    for number, method in enumerate(methods):
        if number:
            left = (time.monotonic() - started) / number * (len(methods) - number)
            _log(f'{number} of {len(methods)} methods are done, about '
                 f'{left / 60:.0f} min to go.')
        rows.append(_row(method, config, setting, lr, Path(out) / 'rows'))
    return rows


def _row(method: Method, config: Config, setting: Facts, lr: Tensor,
         folder: Path) -> Row:
    """The row of a method: kept from before, measured now, or what is wrong."""
    if method.checkpoint is not None and not Path(method.checkpoint).is_file():
        return Row(method, f'no checkpoint at {method.checkpoint}')
    try:
        network = network_config(method, config)
        key = _key(method, network, setting)
        row = _read(method, key, folder)
        if row is None:
            _log(f'{method.name}: measuring.')
            row = _measure(method, network, config)
        elif row.facts['profiled_by'] == _profile_settings(config):
            _log(f'{method.name}: measured before, kept from {folder}.')
            return row
        row.facts['profile'] = _profile(network, lr, config)
        row.facts['profiled_by'] = _profile_settings(config)
    except (CheckpointMismatch, RefusedCheckpointError, FileNotFoundError) as error:
        # the other rows do not depend on this one
        _log(f'{method.name}: {error}', logging.ERROR)
        return Row(method, ' '.join(str(error).split()), failed=True)
    _write(row, key, folder)
    return row


def network_config(method: Method, config: Config) -> Facts:
    """What ``FaceTester`` builds the method's network from.

    Raises:
        CheckpointMismatch: the method has neither checkpoint nor config.
        ValueError: its config describes a network with weights.
    """
    if method.checkpoint is not None:
        settings = dict(checkpoint=method.checkpoint, name=method.member)
        return {**settings, 'landmarks': method.landmarks}
    if method.config is None:
        raise CheckpointMismatch(
            f'{config.filename}: {method.name} has neither checkpoint nor config.')
    path = Path(config.filename).parent / method.config
    return generator_without_weights(load_config(path, work_dir=config.work_dir))


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
    row.facts = dict(
        protocol=protocol_of(runner), num_images=evaluator.num_images,
        skipped=max(evaluator.num_skipped, getattr(dataset, 'num_skipped', 0)),
        caption=tested.caption() if hasattr(tested, 'caption') else '')
    return row


def _first_lr(dataset: Any) -> Tensor:
    """LR, (3, h, w) in [0, 1], of the first sample that can be read."""
    for index in range(len(dataset)):
        sample = dataset[index]
        if sample is not None:
            return sample['inputs'] / 255
    raise ValueError(f'{dataset.name}: none of the {len(dataset)} samples can be read.')


def _profile_settings(config: Config) -> Facts:
    given = config.get('profile')
    return {**_PROFILE, **({} if given is None else given.to_dict())}


def _profile(network: Facts, lr: Tensor, config: Config) -> Facts:
    """The costs of a network that nothing was done to, as the tester does."""
    settings, built = _profile_settings(config), build_network(network)
    detection = None
    if hasattr(built, 'detector'):
        detection = detection_part(
            built.detector, built.pictures(lr[None]), warmup=settings['warmup'],
            repeats=settings['repeats'])
        built = built.network
    return profile_backbone(built, lr_size=lr.shape[-1], device=str(get_device()),
                            detection=detection, **settings).to_dict()


def _write(row: Row, key: str, folder: Path) -> None:
    names = sorted(next(iter(row.values.values())))
    write_rows(folder / f'{row.method.slug}.csv', [
        dict(name=name, **{column: values[name]
                           for column, values in row.values.items()})
        for name in names])
    # last: a row is finished when this file is there
    write_json(folder / f'{row.method.slug}.json', dict(
        key=key, method=asdict(row.method), set_values=row.set_values,
        facts=row.facts))


def _read(method: Method, key: str, folder: Path) -> Optional[Row]:
    """What was measured of this very method, or None."""
    path = folder / f'{method.slug}.json'
    values = path.with_suffix('.csv')
    if not path.is_file() or not values.is_file():
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    if content.get('key') != key:
        return None
    row = Row(method, set_values=content['set_values'], facts=content['facts'])
    for line in read_rows(values):
        name = line.pop('name')
        for column, value in line.items():
            row.values.setdefault(column, {})[name] = float(value)
    return row


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(message, logger='current', level=level)
