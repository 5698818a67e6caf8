"""Where a distillation's teacher comes from."""

from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import torch
from torch import nn

from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    load_backbone,
    read_checkpoint,
    teacher_weights,
)
from fdsr.utils.configs import plain

_TRAIN_ONE = 'Train one with: python tools/train.py configs/teacher_vggface2.py'


def build_teacher(teacher: Union[str, dict]) -> Tuple[nn.Module, Dict[str, Any]]:
    """Builds the frozen teacher.

    Args:
        teacher: a checkpoint's path, or a dict with

            - ``checkpoint``: the path;
            - ``name``: which of its backbones, default: its default;
            - ``expect``: a backbone's config; every value in it has to be the
              file's own, but for paths of external files.

    Returns:
        The network in eval mode without gradients, and its config.

    Raises:
        FileNotFoundError: the checkpoint is not there.
        CheckpointMismatch: it holds another network than expected.
    """
    settings = {'checkpoint': teacher} if isinstance(teacher, str) else plain(teacher)
    checkpoint = settings.get('checkpoint')
    if not checkpoint:
        raise FileNotFoundError(
            'Distillation needs a trained teacher: set model.teacher.checkpoint to its '
            f'checkpoint. {_TRAIN_ONE}')
    if not Path(checkpoint).expanduser().is_file():
        raise FileNotFoundError(
            f'There is no teacher at {checkpoint}: correct model.teacher.checkpoint. '
            f'{_TRAIN_ONE}')
    facts, _ = read_checkpoint(checkpoint)
    name = settings.get('name') or facts['default']
    config = facts['backbones'].get(name, {})
    if config:  # otherwise load_backbone tells which names there are
        _check_expected(checkpoint, config, settings.get('expect'))
    # Its random values are overwritten anyway; without drawing them a student starts
    # as it would on its own, so that runs with and without a teacher can be compared.
    with torch.random.fork_rng(devices=[]):
        network = load_backbone(checkpoint, name)
    network.requires_grad_(False)
    network.external_weights = teacher_weights(
        checkpoint, name, facts.get('licence'))
    return network, config


def _check_expected(checkpoint: str, found: Dict[str, Any],
                    expected: Optional[Dict[str, Any]], path: str = '') -> None:
    for key, value in (expected or {}).items():
        if key in ('file', 'pretrained', 'sha256'):  # another place of the same thing
            continue
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            _check_expected(checkpoint, found[key], value, f'{path}{key}.')
        elif found.get(key) != value:
            raise CheckpointMismatch(
                f'The teacher in {checkpoint} is another one than the config expects: '
                f'{path}{key}: expected {value!r}, found {found.get(key)!r}. Give the '
                f'checkpoint that belongs to the config, or change model.teacher.'
                f'expect and the student to fit it.')
