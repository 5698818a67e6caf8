"""Builds runners for one or several processes."""

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from fdsr import openmmlab
from fdsr.utils.locks import folder_lock

# mmengine imports transformers only to register its Adafactor, which takes seconds.
with openmmlab.hidden('transformers'):
    from fdsr.engine.runner import FaceRunner, patience


def _adafactor(params: Any, **settings: Any) -> torch.optim.Optimizer:
    from transformers import Adafactor
    return Adafactor(params, **settings)


if 'Adafactor' not in OPTIMIZERS:
    OPTIMIZERS.register_module(name='Adafactor', module=_adafactor)

_TEXTS = {}


class _Config(Config):
    """A config that formats its text once.

    A runner asks for the text five times, and yapf takes 0.25 s each time.
    """

    @property
    def pretty_text(self) -> str:
        content = repr(self._cfg_dict)
        if content not in _TEXTS:
            _TEXTS[content] = super().pretty_text
        return _TEXTS[content]


def build_runner(config: Config, launcher: str = 'none') -> FaceRunner:
    """Builds the runner of a config.

    Args:
        config: as ``load_config`` returns it.
        launcher: ``none``, or ``pytorch`` in a process that torchrun started. Without
            a GPU the processes communicate over gloo.

    Raises:
        FileNotFoundError: the checkpoint ``load_from`` does not exist.
        FolderInUse: the config trains, and another training uses its work directory.
    """
    path = config.get('load_from')
    if path and '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(
            f'There is no checkpoint at {path} to start or resume from: correct '
            f'load_from, or the argument of --resume.')
    config.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        # mmengine would use NCCL, and pass a GPU's number to the wrapper.
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group('gloo')
        config.model_wrapper_cfg = dict(
            config.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel'),
            device_ids=None)
    lock = contextlib.nullcontext()
    if config.get('train_cfg') and os.environ.get('RANK', '0') == '0':
        # before the runner replaces the config in the folder; train() locks it again
        lock = folder_lock(config.work_dir, patience())
    with lock:
        return FaceRunner.from_cfg(_Config(
            config._cfg_dict, cfg_text=config.text, filename=config.filename))


def end_processes() -> None:
    """Waits for the other processes and leaves the process group, if there is one.

    At interpreter exit the group's threads may still run when they are torn down, and
    the process would be reported as failed.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
