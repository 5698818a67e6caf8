"""Exponential moving average of the trained weights."""

import copy
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import nn

from fdsr.models.files.checkpoints import external_parts
from fdsr.registry import HOOKS
from fdsr.utils.modules import unwrap


@HOOKS.register_module()
class TrainedEMAHook(Hook):
    """Keeps an exponential moving average of a restorer's backbone.

    The average is the submodule ``NAME_ema`` next to ``NAME``. Restorers test the
    average instead of the trained weights, and checkpoints name it as their default.
    Frozen modules (VGG, dictionary) are shared with the original, not copied.

    Args:
        name: submodule of the restorer, ``generator`` or ``student``.
        momentum: weight of the new values in each update.
        start_iter: first iteration that averages; until then the average is a copy.

    Raises:
        ValueError: ``momentum`` is not in (0, 1).
    """

    priority = 'NORMAL'

    def __init__(self, name: str, momentum: float = 0.001,
                 start_iter: int = 0) -> None:
        if not 0 < momentum < 1:
            raise ValueError(
                f'momentum: expected a number in (0, 1), found {momentum}.')
        self.name, self.momentum, self.start_iter = name, momentum, start_iter
        self._averaged = f'{name}_ema'

    def before_run(self, runner: Any) -> None:
        """Adds the averaged submodule to the restorer.

        Raises:
            ValueError: the restorer has no submodule of this name.
        """
        model = unwrap(runner.model)
        if self.name not in dict(model.named_children()):
            raise ValueError(
                f'{type(model).__name__} has no submodule {self.name!r} to average; '
                f'expected one of {", ".join(dict(model.named_children()))}.')
        if not hasattr(model, self._averaged):
            average = copy_trained(unwrap(getattr(model, self.name)))
            setattr(model, self._averaged, average)
            model.backbone_configs[self._averaged] = model.backbone_configs[self.name]

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Initializes the average from the weights of a checkpoint without one."""
        state = checkpoint.get('state_dict')
        if not isinstance(state, dict):
            return  # SelfDescribingHook raises an error that names the file
        prefix, averaged = f'{self.name}.', f'{self._averaged}.'
        if not any(key.startswith(averaged) for key in state):
            state.update({averaged + key[len(prefix):]: value.clone()
                          for key, value in list(state.items())
                          if key.startswith(prefix)
                          and isinstance(value, torch.Tensor)})

    @torch.no_grad()
    def after_train_iter(self, runner: Any, batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict[str, Any] | None = None) -> None:
        """Updates the average; buffers are copied."""
        model = unwrap(runner.model)
        source, average = unwrap(getattr(model, self.name)), getattr(
            model, self._averaged)
        share = self.momentum if runner.iter >= self.start_iter else 1.0
        trained = dict(source.named_parameters())
        for name, parameter in average.named_parameters():
            if parameter is not trained[name]:
                parameter.lerp_(trained[name], share)
        buffers = dict(source.named_buffers())
        for name, buffer in average.named_buffers():
            if buffer is not buffers[name]:
                buffer.copy_(buffers[name])


def copy_trained(network: nn.Module) -> nn.Module:
    """Returns a copy in eval mode, without gradients, that shares external modules."""
    modules = dict(network.named_modules(remove_duplicate=False))
    shared = {id(modules[path]): modules[path] for path in external_parts(network)}
    copied = copy.deepcopy(network, memo=shared).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied
