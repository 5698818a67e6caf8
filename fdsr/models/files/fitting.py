"""Checks that a file's values, and the files that it refers to, fit a network."""

from typing import Any, Mapping

import torch
from torch import Tensor

from fdsr.weights import ExternalWeights


class CheckpointMismatch(ValueError):
    """A checkpoint does not fit what it is loaded into."""


def check_values(source: str, own: Mapping[str, Tensor], values: Mapping[str, Any],
                 remedy: str = '') -> None:
    """Checks that values fit a network: same names and shapes, same kind, finite.

    Args:
        source: the file that the values are from.
        own: the network's.
        values: the file's.
        remedy: a sentence for the end of the error.

    Raises:
        CheckpointMismatch: they do not; names the first that differs.
    """
    problems: list[str] = []
    for key in sorted(own.keys() | values.keys()):
        if key not in values:
            problems.append(f'{key} is missing')
        elif key not in own:
            problems.append(f'{key} is not in the network')
        else:
            problem = _problem_of(own[key], values[key])
            problems += [f'{key}{problem}'] if problem else []
    if problems:
        raise CheckpointMismatch(
            f'{source} does not fit the network: {problems[0]}'
            + (f', and {len(problems) - 1} more' if len(problems) > 1 else '')
            + f'. {remedy}'.rstrip())


def _problem_of(own: Tensor, value: Any) -> str | None:
    if not isinstance(value, Tensor):
        return f': expected a tensor, found {type(value).__name__}'
    if own.shape != value.shape:
        return f': expected {tuple(own.shape)}, found {tuple(value.shape)}'
    if _kind_of(own) != _kind_of(value):
        return f': expected {_kind_of(own)} values, found {value.dtype}'
    # an attention mask may contain -inf by design
    if own.is_floating_point() and torch.isfinite(own).all():
        # 1e300 is finite until it is cast
        if not torch.isfinite(value.to(own.dtype)).all():
            return f' holds values that are not finite in {own.dtype}'
    return None


def _kind_of(tensor: Tensor) -> str:
    if tensor.dtype == torch.bool:
        return 'boolean'
    if tensor.is_complex():
        return 'complex'
    return 'floating-point' if tensor.is_floating_point() else 'integer'


def check_external(checkpoint: str, recorded: Mapping[str, Mapping[str, str]],
                   live: Mapping[str, ExternalWeights]) -> None:
    """Checks that external parts are those that the checkpoint was made with.

    Raises:
        CheckpointMismatch: one is missing or has another hash; names both files.
    """
    for part, record in recorded.items():
        now = live.get(part)
        if now is None:
            raise CheckpointMismatch(
                f'{checkpoint} takes the values of {part} from {record["path"]} '
                f'(SHA-256 {record["sha256"][:12]}…), but the network takes them from '
                f'no file. Give it that file.')
        if now.sha256 != record['sha256']:
            raise CheckpointMismatch(
                f'{checkpoint} was made with {record["path"]} (SHA-256 '
                f'{record["sha256"][:12]}…) for {part}; the network has {now.path} '
                f'({now.sha256[:12]}…). Use the file that it was made with.')
