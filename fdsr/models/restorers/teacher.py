"""Frozen teachers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.models.contract import build_backbone
from fdsr.models.files import CheckpointMismatch, check_values
from fdsr.models.files.checkpoints import (
    load_backbone,
    read_checkpoint,
)
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.utils.configs import plain
from fdsr.weights import ExternalWeights, safe_load, sha256_of
from fdsr.weights.hashing import values_sha256

_TRAIN_ONE = 'Train one with: python tools/train.py configs/teacher_vggface2.py'
_KEYS = {'checkpoint', 'name', 'expect'}, {'network', 'weights'}


def build_teacher(teacher: str | dict) -> tuple[nn.Module, dict[str, Any]]:
    """Builds a frozen teacher.

    Args:
        teacher: the path of a self-describing checkpoint, or one of

            - ``dict(checkpoint=PATH, name=..., expect=...)``: a self-describing
              checkpoint; ``name`` selects one of its backbones, and the config of the
              backbone must have every value in ``expect``, except for paths of files.
            - ``dict(network=CONFIG, weights=PATH)``: any registered network, with the
              values of a plain state dict. Omit ``weights`` for a network that needs
              none or loads its own.

    Returns:
        The network in eval mode without gradients, and its config. Its attribute
        ``weights_sha256`` identifies its values.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointMismatch: the file has another network than expected, or other values
            than the network needs.
        ValueError: unknown or contradictory keys.
    """
    settings = {'checkpoint': teacher} if isinstance(teacher, str) else plain(teacher)
    if not any(settings.keys() <= keys for keys in _KEYS):
        raise ValueError(
            'teacher: expected dict(checkpoint=PATH, name=..., expect=...) or '
            f'dict(network=CONFIG, weights=PATH), found the keys '
            f'{", ".join(settings)}.')
    # The random initial values are overwritten. Without drawing them, a student starts
    # with the same values as one that is trained without a teacher.
    with torch.random.fork_rng(devices=[]):
        network, config = (_from_config(settings) if 'network' in settings else
                           _from_checkpoint(settings))
    return network.eval().requires_grad_(False), config


def _from_checkpoint(settings: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    checkpoint = _existing(settings.get('checkpoint'), 'model.teacher.checkpoint')
    facts, _ = read_checkpoint(checkpoint)
    name = settings.get('name') or facts['default']
    config = facts['backbones'].get(name, {})
    if config:  # load_backbone reports an unknown name
        _check_expected(checkpoint, config, settings.get('expect'))
    network = load_backbone(checkpoint, name)
    network.weights_sha256 = sha256_of(checkpoint)
    network.external_weights = ExternalWeights(
        name='teacher', path=str(Path(checkpoint).expanduser().resolve()),
        sha256=network.weights_sha256, member=name,
        licence=facts.get('licence') or 'as its training data')
    return network, config


def _from_config(settings: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    network = build_backbone(settings['network'])
    if settings.get('weights') is None:
        network.weights_sha256 = values_sha256(network.state_dict())
        return network, settings['network']
    path = _existing(settings['weights'], 'model.teacher.weights')
    content = safe_load(path)
    values = content
    for key in ('state_dict', 'params_ema', 'params'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            values = content[key]
            break
    if not isinstance(values, dict) or not all(
            isinstance(value, Tensor) for value in values.values()):
        raise CheckpointMismatch(
            f'{path}: expected a state dict (tensors by name), optionally under '
            "'state_dict', 'params_ema' or 'params'; found something else.")
    check_values(path, network.state_dict(), values)
    network.load_state_dict(values)
    network.weights_sha256 = sha256_of(path)
    return network, settings['network']


def _existing(path: str | None, key: str) -> str:
    if not path:
        raise FileNotFoundError(
            f'Distillation needs a trained teacher: set {key} to its file. '
            f'{_TRAIN_ONE}')
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(
            f'There is no teacher at {path}: correct {key}. {_TRAIN_ONE}')
    return path


def bake_teacher(network: nn.Module) -> None:
    """Bakes the parametrizations of a teacher that is stored in a file of its own.

    The values of any other teacher are stored with the run, under the names that its
    config gives them.
    """
    if getattr(network, 'external_weights', None) is not None:
        bake_parametrisations(network)


def _check_expected(checkpoint: str, found: dict[str, Any],
                    expected: dict[str, Any] | None, path: str = '') -> None:
    for key, value in (expected or {}).items():
        if key in ('file', 'pretrained', 'sha256'):  # the same content elsewhere
            continue
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            _check_expected(checkpoint, found[key], value, f'{path}{key}.')
        elif found.get(key) != value:
            raise CheckpointMismatch(
                f'The teacher in {checkpoint} differs from the config: {path}{key}: '
                f'expected {value!r}, found {found.get(key)!r}. Use the checkpoint '
                'that belongs to the config, or change model.teacher.expect and the '
                'student to match it.')
