"""The methods of a benchmark, read from its config."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from fdsr.evaluation.testing import generator_without_weights
from fdsr.utils.configs import read_config


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        name: Name in the table.
        config: Path of the training config, relative to the benchmark's config or to
            the working directory. A backbone without weights is built from it.
        checkpoint: Path of a self-describing file, relative to the working directory.
        member: Name of one of the checkpoint's backbones; default: the trained one.
        landmarks: Config of a detector. The boxes then come from landmarks detected on
            the upsampled LR image instead of the landmarks of HR.
        paper: Numbers of the paper, {column: value}.
        training_network: Path of a self-describing file of another network that only
            the training uses. The table of costs gets a row for it.
        note: Remark for the protocol.
    """

    name: str
    config: str | None = None
    checkpoint: str | None = None
    member: str | None = None
    landmarks: dict | None = None
    paper: dict[str, float] = field(default_factory=dict)
    training_network: str | None = None
    note: str = ''

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return slug_of(self.name)

    def missing(self) -> str:
        """Returns which checkpoint is missing and what creates it, or ''."""
        if self.checkpoint is None or Path(self.checkpoint).is_file():
            return ''
        made_by = '' if self.config is None else (
            f' (made by tools/train.py {Path(self.config).name})')
        return f'no checkpoint at {self.checkpoint}{made_by}'


def slug_of(name: str) -> str:
    """Returns a name of any characters as a file name; different names stay different.
    """
    words = re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')
    return f'{words}-{hashlib.sha256(name.encode()).hexdigest()[:6]}'


_KEYS = [one.name for one in fields(Method)]


def methods_of(config: Config) -> list[Method]:
    """Returns the methods in the rows of a benchmark's config.

    Raises:
        ValueError: There are no rows, two rows have the same name, a row has an unknown
            key, or the reference is not one of the rows.
    """
    methods = [_method(config, number, row)
               for number, row in enumerate(config.get('rows') or [])]
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f'{config.filename}: expected rows with different names, found '
            f'{names or "none"}. See configs/benchmark/table1.py.')
    reference = config.get('reference')
    if reference is not None and reference not in names:
        raise ValueError(
            f'{config.filename}: reference={reference!r}, expected one of the rows '
            f'{names}.')
    return methods


def _method(config: Config, number: int, row: dict[str, Any]) -> Method:
    if set(row) - set(_KEYS) or not row.get('name'):
        raise ValueError(
            f'{config.filename}: rows[{number}] needs a name and takes '
            f'{", ".join(_KEYS)}; found {sorted(row)}.')
    method = Method(**row.to_dict())
    if method.name in ('LR', 'HR'):
        raise ValueError(
            f'{config.filename}: the names LR and HR are reserved. Rename '
            f'rows[{number}].')
    if method.checkpoint is None and (
            method.config is None or method.landmarks or method.member):
        raise ValueError(
            f'{config.filename}: {method.name} needs a checkpoint, or only the config '
            'of a network without weights; found '
            f'{sorted(key for key, value in row.items() if value)}.')
    return method


def set_checkpoints(config: Config, options: Sequence[str]) -> None:
    """Replaces the checkpoints of rows.

    Args:
        config: A benchmark's config; changed in place.
        options: NAME=PATH each, where NAME is the name of a row.

    Raises:
        ValueError: See ``methods_of``; or an option is not NAME=PATH or has an unknown
            name.
    """
    methods_of(config)
    rows = {row.name: row for row in config.rows}
    for option in options:
        # Splits at the last '=', because names contain it more often than paths.
        name, equals, path = option.rpartition('=')
        if not equals or name not in rows:
            raise ValueError(
                f'--checkpoint: expected NAME=PATH with a name of {[*rows]}, found '
                f'{option!r}.')
        rows[name].checkpoint = path


def network_config(method: Method, config: Config) -> dict[str, Any]:
    """Returns the network config of a method for ``FaceTester``.

    Raises:
        FileNotFoundError: The method's config does not exist.
        ValueError: The method has no checkpoint, and its config has weights.
    """
    if method.checkpoint is not None:
        return dict(checkpoint=method.checkpoint, name=method.member,
                    landmarks=method.landmarks)
    places = [Path(config.filename).parent / method.config, Path(method.config)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f'{config.filename}: the config {method.config} of {method.name} exists '
            f'neither at {places[0]} nor at {places[1]}.')
    try:
        return generator_without_weights(read_config(found))
    except ValueError as error:
        raise ValueError(
            f'{config.filename}: {method.name} has no checkpoint, but {found} '
            'describes a network with weights. Add a checkpoint to the row.') from error
