"""Moving average of what is trained."""

import copy
from typing import Any, Dict, Optional

import torch
from mmengine.hooks import Hook
from torch import nn

from fdsr.models.files.checkpoints import external_parts
from fdsr.registry import HOOKS
from fdsr.utils.modules import unwrap


@HOOKS.register_module()
class TrainedEMAHook(Hook):
    """Keeps an exponential moving average of a restorer's backbone.

    The average is a module ``NAME_ema`` beside ``NAME``; restorers test it in the
    other's place, and checkpoints name it first. Frozen parts (VGG, dictionary) are
    shared with the original instead of being copied.

    Args:
        name: the submodule: ``generator`` or ``student``.
        momentum: share of the new weights in each step.
        start_iter: until then the average is a copy.

    Raises:
        ValueError: the momentum is not between 0 and 1.
    """

    priority = 'NORMAL'

    def __init__(self, name: str, momentum: float = 0.001,
                 start_iter: int = 0) -> None:
        if not 0 < momentum < 1:
            raise ValueError(f'momentum has to be in (0, 1), found {momentum}.')
        self.name, self.momentum, self.start_iter = name, momentum, start_iter

    @property
    def _averaged(self) -> str:
        return f'{self.name}_ema'

    def before_run(self, runner: Any) -> None:
        """Adds the averaged module to the restorer.

        Raises:
            ValueError: the restorer has no such submodule.
        """
        model = unwrap(runner.model)
        if self.name not in dict(model.named_children()):
            raise ValueError(
                f'{type(model).__name__} has no {self.name!r} to average; it has '
                f'{", ".join(dict(model.named_children()))}.')
        if not hasattr(model, self._averaged):
            average = copy_trained(unwrap(getattr(model, self.name)))
            setattr(model, self._averaged, average)
            model.backbone_configs[self._averaged] = model.backbone_configs[self.name]

    def after_load_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Starts the average from the weights of a checkpoint that has none."""
        state = checkpoint.get('state_dict')
        if not isinstance(state, dict):
            return  # SelfDescribingHook refuses it, with the file's name
        prefix, averaged = f'{self.name}.', f'{self._averaged}.'
        if not any(key.startswith(averaged) for key in state):
            state.update({averaged + key[len(prefix):]: value.clone()
                          for key, value in list(state.items())
                          if key.startswith(prefix)
                          and isinstance(value, torch.Tensor)})

    @torch.no_grad()
    def after_train_iter(self, runner: Any, batch_idx: int,
                         data_batch: Optional[Any] = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """One step of the average; buffers are copied."""
        model = unwrap(runner.model)
        source, average = unwrap(getattr(model, self.name)), getattr(
            model, self._averaged)
        share = self.momentum if runner.iter >= self.start_iter else 1.0
        theirs = dict(source.named_parameters())
        for name, parameter in average.named_parameters():
            if parameter is not theirs[name]:
                parameter.lerp_(theirs[name], share)
        buffers = dict(source.named_buffers())
        for name, buffer in average.named_buffers():
            if buffer is not buffers[name]:
                buffer.copy_(buffers[name])


def copy_trained(network: nn.Module) -> nn.Module:
    """A copy in eval mode without gradients that shares the frozen external parts."""
    modules = dict(network.named_modules(remove_duplicate=False))
    shared = {id(modules[path]): modules[path] for path in external_parts(network)}
    copied = copy.deepcopy(network, memo=shared).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied
