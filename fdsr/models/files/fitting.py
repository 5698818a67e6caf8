"""Checks that the values and the external files of a file match a network."""

from typing import Any, Mapping

import torch
from torch import Tensor

from fdsr.weights import ExternalWeights, ModelFileError
from fdsr.weights.hashing import KEY
from fdsr.weights.safetensors_files import SUFFIX


class CheckpointMismatch(ModelFileError):
    """A checkpoint does not match the network that loads it."""


def check_values(source: str, own: Mapping[str, Tensor], values: Mapping[str, Any],
                 remedy: str = '') -> None:
    """Checks that values match a network in name, shape and kind, and are finite.

    Args:
        source: the file with the values.
        own: the values of the network.
        values: the values of the file.
        remedy: a sentence to append to the error message.

    Raises:
        CheckpointMismatch: they do not; the message names the first difference.
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
            f'{source} does not match the network: {problems[0]}'
            + (f', and {len(problems) - 1} more' if len(problems) > 1 else '')
            + f'. {remedy}'.rstrip())


def _problem_of(own: Tensor, value: Any) -> str | None:
    if not isinstance(value, Tensor):
        return f': expected a tensor, found {type(value).__name__}'
    if own.shape != value.shape:
        return f': expected {tuple(own.shape)}, found {tuple(value.shape)}'
    if _kind_of(own) != _kind_of(value):
        return f': expected {_kind_of(own)} values, found {value.dtype}'
    if own.is_floating_point():
        # a value such as 1e300 becomes infinite when cast to fp32
        cast = value.to(own.dtype)
        # an attention mask contains -inf by design
        if not (torch.isfinite(cast) | (cast == own.to(cast.device))).all():
            return f' holds values that are not finite in {own.dtype}'
    return None


def _kind_of(tensor: Tensor) -> str:
    if tensor.dtype == torch.bool:
        return 'boolean'
    if tensor.is_complex():
        return 'complex'
    return 'floating-point' if tensor.is_floating_point() else 'integer'


def check_hashes(source: str, facts: Mapping[str, Any],
                 found: Mapping[str, str]) -> None:
    """Checks that values are those that the file was written with.

    Call it after ``check_values``, whose messages are more precise.

    Args:
        source: the file with the values.
        facts: its description; earlier ``torch.save`` files have no hashes.
        found: hashes of the values by module, see ``hashes_of``.

    Raises:
        CheckpointMismatch: a hash differs, or is missing in a safetensors file.
    """
    recorded, required = facts.get(KEY) or {}, source.endswith(SUFFIX)
    for name in sorted(found):
        if name not in recorded and required:
            raise CheckpointMismatch(
                f'{source}: the description has no SHA-256 of the weights of {name!r} '
                f'({KEY}). Copy or fetch the file again.')
        if name in recorded and recorded[name] != found[name]:
            raise CheckpointMismatch(
                f'{source}: the weights of {name!r} differ from the SHA-256 in the '
                f'description: expected {recorded[name][:12]}…, found '
                f'{found[name][:12]}…. The file is damaged or was edited. Copy or '
                'fetch it again. If you changed the weights yourself, '
                + ('write them with fdsr.models.files.checkpoints.save_backbone.'
                   if required else
                   f'delete meta["fdsr"]["{KEY}"] when you save them.'))


def check_external(checkpoint: str, recorded: Mapping[str, Mapping[str, str]],
                   live: Mapping[str, ExternalWeights]) -> None:
    """Checks that external modules use the files recorded in the checkpoint.

    Raises:
        CheckpointMismatch: a module has no file or another hash; the message names
            both files.
    """
    for part, record in recorded.items():
        now = live.get(part)
        if now is None:
            raise CheckpointMismatch(
                f'{checkpoint} loads the values of {part} from {record["path"]} '
                f'(SHA-256 {record["sha256"][:12]}…), but the network loads them from '
                f'no file. Set this file in the config of the network.')
        if now.sha256 != record['sha256']:
            raise CheckpointMismatch(
                f'{checkpoint} was trained with {record["path"]} (SHA-256 '
                f'{record["sha256"][:12]}…) for {part}; the network uses {now.path} '
                f'({now.sha256[:12]}…). Use the original file.')
