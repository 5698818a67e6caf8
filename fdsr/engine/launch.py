"""Starting runners, alone or as one of several processes."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from fdsr import openmmlab

# mmengine would import it for its optimizer Adafactor alone.
with openmmlab.hidden('transformers'):
    from mmengine.runner import Runner



def _adafactor(params: Any, **settings: Any) -> torch.optim.Optimizer:
    from transformers import Adafactor
    return Adafactor(params, **settings)


if 'Adafactor' not in OPTIMIZERS:
    OPTIMIZERS.register_module(name='Adafactor', module=_adafactor)

_TEXTS = {}


class _Config(Config):
    """A config whose text is formatted once; a run asks for it five times.

    yapf takes a quarter of a second for each.
    """

    @property
    def pretty_text(self) -> str:
        content = repr(self._cfg_dict)
        if content not in _TEXTS:
            _TEXTS[content] = super().pretty_text
        return _TEXTS[content]


def build_runner(config: Config, launcher: str = 'none') -> Runner:
    """Builds the runner of a config.

    Args:
        config: as ``load_config`` returns it.
        launcher: ``none``, or ``pytorch`` for a process that torchrun started. Without
            a GPU the processes talk over gloo.

    Raises:
        FileNotFoundError: there is no checkpoint at ``load_from``.
    """
    _check_load_from(config)
    config.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        _use_gloo(config)
    return Runner.from_cfg(_Config(
        config._cfg_dict, cfg_text=config.text, filename=config.filename))


def end_processes() -> None:
    """Parts from the other processes, if there are any, at the end of a tool.

    Left to the interpreter's end, their threads may be torn down while they run, and
    the process is reported as failed.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _use_gloo(config: Config) -> None:
    # mmengine would take NCCL, and give the wrapper a GPU's number.
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    wrapper = config.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel')
    config.model_wrapper_cfg = dict(wrapper, device_ids=None)


def _check_load_from(config: Config) -> None:
    path = config.get('load_from')
    if path and '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(
            f'There is no checkpoint at {path} to start or resume from: correct '
            f'load_from, or the argument of --resume.')
