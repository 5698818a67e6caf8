"""Model files, arrays and descriptions with code, which must not be executed."""

import io
import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import TinyEncoder
from fdsr.models.dictionary.files import load_dictionary
from fdsr.models.files.checkpoints import load_backbone, save_backbone
from fdsr.registry import MODELS
from fdsr.weights import safe_load
from tests.faults.fuzz import Case
from tests.hostile import Code, config_calls

NETWORK = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1, reduction=2)
LOADERS: dict[str, Callable[[Path], Any]] = {
    'load_backbone': load_backbone, 'safe_load': safe_load,
    'load_dictionary': lambda path: _dictionary(path)}


def cases(inputs: Path, draws: random.Random, count: int, canary: Path
          ) -> Iterator[Case]:
    """Yields files with a call at a random place; each has to be refused."""
    whole = _content(inputs)
    for number in range(count):
        kind = ('zip', 'legacy', 'pickle', 'numpy', 'description')[number % 5]
        if kind == 'description':
            content = _described(whole, draws, canary)
            data, loader = _saved(content, 'zip'), 'load_backbone'
        else:
            content = _with_code(whole, draws, canary)
            data, loader = _saved(content, kind), draws.choice(list(LOADERS))
        yield Case(f'code in a file, {kind}', f'{kind} {number}, {loader}',
                   partial(_write, data, f'hostile_{number}.pth'), LOADERS[loader],
                   lambda found: 'silent failure: it was loaded')


def _dictionary(path: Path) -> Any:
    encoder = TinyEncoder()
    return load_dictionary(path, encoder, **dictionary_shape(encoder, 32, 0.3125))


def _content(inputs: Path) -> dict[str, Any]:
    path = inputs / 'network.pth'
    save_backbone(MODELS.build(NETWORK), NETWORK, path, licence='MIT')
    return torch.load(path, weights_only=True)


def _write(data: bytes, name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _saved(content: Any, kind: str) -> bytes:
    file = io.BytesIO()
    if kind == 'pickle':
        pickle.dump(content, file, protocol=2)
    elif kind == 'numpy':
        np.save(file, np.array([content], dtype=object))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind == 'zip')
    return file.getvalue()


def _with_code(value: Any, draws: random.Random, canary: Path) -> Any:
    """Returns a copy with a call in place of a random value."""
    if not isinstance(value, dict) or not value or draws.random() < 0.2:
        return Code(canary)
    key = draws.choice(list(value))
    return {**value, key: _with_code(value[key], draws, canary)}


def _described(whole: dict[str, Any], draws: random.Random, canary: Path) -> Any:
    """Returns a copy whose network's description is or contains a call."""
    call = draws.choice(config_calls(canary))
    config = call if draws.random() < 0.5 else {
        **NETWORK, draws.choice(list(NETWORK)[1:]): call}
    return _replaced(whole, config)


def _replaced(value: Any, config: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if value.get('type') == NETWORK['type']:
            return config
        return {key: _replaced(item, config) for key, item in value.items()}
    return value
