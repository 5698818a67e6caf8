"""The methods that a benchmark compares, as its config lists them."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config

from fdsr.evaluation.testing import generator_without_weights


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        name: in the table.
        config: path of the config that trains it, from the benchmark's config or from
            the working directory. A backbone without weights is built from it.
        checkpoint: a self-describing file, from the working directory.
        member: which of the checkpoint's backbones; default: the trained one.
        landmarks: config of a detector: the boxes come from landmarks found on the
            up-sampled LR picture, not from HR's.
        paper: the paper's own numbers, by column.
    """

    name: str
    config: Optional[str] = None
    checkpoint: Optional[str] = None
    member: Optional[str] = None
    landmarks: Optional[dict] = None
    paper: Dict[str, float] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as a file's name."""
        words = re.sub(r'[^a-z0-9]+', '_', self.name.lower()).strip('_')
        return f'{words}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}'

    def missing(self) -> str:
        """What is not there and how it comes to be; empty if all is there."""
        if self.checkpoint is None or Path(self.checkpoint).is_file():
            return ''
        made_by = '' if self.config is None else (
            f' (made by tools/train.py {Path(self.config).name})')
        return f'no checkpoint at {self.checkpoint}{made_by}'


def methods_of(config: Config) -> List[Method]:
    """The methods that a benchmark's config lists.

    Raises:
        ValueError: none, two of one name, an unknown key, or a reference that is not
            among them.
    """
    methods = [_method(config, number, row)
               for number, row in enumerate(config.get('rows') or [])]
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f'{config.filename}: rows has to list methods of different names, found '
            f'{names or "none"}. See configs/benchmark/table1.py.')
    reference = config.get('reference')
    if reference is not None and reference not in names:
        raise ValueError(
            f'{config.filename}: reference={reference!r} is none of the rows, {names}.')
    return methods


def _method(config: Config, number: int, row: Dict[str, Any]) -> Method:
    unknown = set(row) - set(Method.__dataclass_fields__)
    if unknown or not row.get('name'):
        raise ValueError(
            f'{config.filename}: rows[{number}] needs a name and takes '
            f'{", ".join(Method.__dataclass_fields__)}; found {sorted(row)}.')
    method = Method(**row.to_dict())
    if method.name in ('LR', 'HR'):
        raise ValueError(f'{config.filename}: LR and HR are no names of methods.')
    if method.checkpoint is None and (
            method.config is None or method.landmarks or method.member):
        raise ValueError(
            f'{config.filename}: {method.name} needs a checkpoint, or the config of a '
            'network without weights and nothing else; found '
            f'{sorted(key for key, value in row.items() if value)}.')
    return method


def set_checkpoints(config: Config, options: Sequence[str]) -> None:
    """Gives rows of a benchmark's config other checkpoints.

    Args:
        config: changed in place.
        options: NAME=PATH each; the name is a row's.

    Raises:
        ValueError: see ``methods_of``; or an option is no NAME=PATH, or no row has
            that name.
    """
    methods_of(config)
    rows = {row.name: row for row in config.rows}
    for option in options:
        # names may hold a '=', paths rarely do
        name, equals, path = option.rpartition('=')
        if not equals or name not in rows:
            raise ValueError(
                f'--checkpoint takes NAME=PATH with a name of {[*rows]}; found '
                f'{option!r}.')
        rows[name].checkpoint = path


def network_config(method: Method, config: Config) -> Dict[str, Any]:
    """What ``FaceTester`` builds the method's network from.

    Raises:
        FileNotFoundError: the method's config is not there.
        ValueError: it describes a network with weights.
    """
    if method.checkpoint is not None:
        return dict(checkpoint=method.checkpoint, name=method.member,
                    landmarks=method.landmarks)
    places = [Path(config.filename).parent / method.config, Path(method.config)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f'{config.filename}: {method.name} names the config {method.config}, which '
            f'is neither at {places[0]} nor at {places[1]}.')
    try:
        return generator_without_weights(Config.fromfile(found))
    except ValueError as error:
        raise ValueError(
            f'{config.filename}: {method.name} has no checkpoint, and {found} '
            'describes a network with weights: give the row a checkpoint.') from error
