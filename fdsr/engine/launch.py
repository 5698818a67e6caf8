"""Starting runners, alone or as one of several processes."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner


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
    return Runner.from_cfg(config)


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
