"""A runner that locks its work directory and resumes with checks."""

import os
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from fdsr.engine import restoring
from fdsr.engine.work_dir import checkpoints_of, on_main_process
from fdsr.utils.locks import folder_lock
from fdsr.utils.modules import to_channels_last

#: ``resume='auto'``: resume if the work directory has a checkpoint, else start from
#: ``load_from``.
AUTO = 'auto'
_ONLY_WITH_WORKERS = ('persistent_workers', 'prefetch_factor')


def patience() -> float:
    """Returns the seconds to wait for the lock of a work directory.

    After a restart by torchrun, data loading workers of the killed process may still
    hold it.
    """
    return 60 if int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) else 0


class FaceRunner(Runner):
    """mmengine's runner with a lock and another resume.

    - One training at a time can use a work directory.
    - ``resume=True`` without ``load_from``, and ``resume='auto'``, take the newest
      checkpoint that can be loaded, see ``Checkpoints.newest_complete``.
    - A resumed run uses the settings of its config, see ``fdsr.engine.restoring``.
    - Loaders without worker processes ignore the options of worker processes.
    - ``channels_last=True`` in the config stores the weights in that memory format.
      Results change by rounding only, and checkpoints do not depend on it. In bf16 on a
      CPU, a step of a narrow decoder takes a third less time
      (``benchmarks/memory_format.py``).
    """

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """Moves the model to its device and wraps it, see mmengine's ``Runner``."""
        if self.cfg.get('channels_last'):
            to_channels_last(model)  # the distributed wrapper copies the strides
        return super().wrap_model(model_wrapper_cfg, model)

    def train(self) -> nn.Module:
        """Trains with the work directory locked.

        Raises:
            FolderInUse: another training uses the work directory.
            CannotResume: see ``resume``.
        """
        if not is_main_process():
            return super().train()
        with folder_lock(self.work_dir, patience()):
            checkpoints_of(self).remove_partial()
            return super().train()

    def load_or_resume(self) -> None:
        """Finds the checkpoint to resume from, and loads it or ``load_from``."""
        if not self._has_loaded and (
                self._resume == AUTO or self._resume and not self._load_from):
            found = on_main_process(self._newest_checkpoint)
            if found is None:
                self.logger.warning(
                    f'{self.work_dir} has no checkpoint yet: the training starts from '
                    'iteration 0.')
            self._resume = found is not None
            self._load_from = str(found) if found else self._load_from
        super().load_or_resume()

    def _newest_checkpoint(self) -> Path | None:
        files = checkpoints_of(self)
        found = files.newest_complete(self.logger.warning)
        if found in files.by_step().values():
            files.point_to(found)  # a kill may have come before the pointer
        return found

    def resume(self, filename: str, resume_optimizer: bool = True,
               resume_param_scheduler: bool = True, map_location: Any = 'default'
               ) -> None:
        """Restores weights and state of a run; settings come from the config.

        Raises:
            CannotResume: the checkpoint is malformed, does not fit, or has settings
                that cannot be changed in a resumed run.
        """
        checkpoint = self.load_checkpoint(
            filename, get_device() if map_location == 'default' else map_location)
        epoch, iteration = restoring.read_iteration(filename, checkpoint)
        restoring.check_settings(filename, checkpoint, self)
        restoring.restore_message_hub(filename, checkpoint, self.message_hub)
        seed = checkpoint['meta'].get('seed')
        if self._randomness_cfg.get('seed') is None and type(seed) is int:
            self._randomness_cfg.update(seed=seed)
            self.set_randomness(**self._randomness_cfg)
        loop = self.train_loop
        loop._epoch, loop._iter = epoch, iteration
        if iteration >= self.max_iters:
            self.logger.warning(
                f'{filename} has {iteration} iterations and train_cfg.max_iters is '
                f'{self.max_iters}: there is nothing to train. Increase max_iters to '
                'continue.')
        elif resume_optimizer:
            restoring.restore_optimizers(filename, checkpoint, self.optim_wrapper,
                                         self.param_schedulers, iteration)
            restoring.restore_gradients(
                filename, checkpoint, self.optim_wrapper, iteration)
        loop.resumed_position = restoring.read_position(
            filename, checkpoint, get_rank(), get_world_size())
        self._has_loaded = True
        self.logger.info(f'Resumed from {filename} at iteration {iteration}.')

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args: Any, **kwargs: Any
                         ) -> DataLoader:
        """Builds a loader; see mmengine's ``Runner.build_dataloader``."""
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):
            dataloader = {key: value for key, value in dataloader.items()
                          if key not in _ONLY_WITH_WORKERS}
        return Runner.build_dataloader(dataloader, *args, **kwargs)
