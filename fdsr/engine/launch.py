"""Starting runners, alone or as one of several processes."""

import torch
from mmengine.config import Config
from mmengine.runner import Runner


def build_runner(config: Config, launcher: str = 'none') -> Runner:
    """Builds the runner of a config.

    Args:
        config: as ``load_config`` returns it.
        launcher: ``none``, or ``pytorch`` for a process that torchrun started. Without
            a GPU the processes talk over gloo.
    """
    config.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        _use_gloo(config)
    return Runner.from_cfg(config)


def _use_gloo(config: Config) -> None:
    # mmengine would take NCCL, and give the wrapper a GPU's number.
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    wrapper = config.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel')
    config.model_wrapper_cfg = dict(wrapper, device_ids=None)
