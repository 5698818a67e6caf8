"""Optimizers for several networks, and autocast that also works on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS
from torch import Tensor, nn

from fdsr.models.autocast import bf16_autocast
from fdsr.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from fdsr.utils.modules import unwrap


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass in bf16 autocast, on a CPU or a GPU.

    bf16 has the range of fp32, so the loss is not scaled. See ``fdsr.models.autocast``
    for CPUs without bf16. For fp16 on a GPU use mmengine's ``AmpOptimWrapper``.

    Args:
        dtype: ``bfloat16``.
        **kwargs: arguments of mmengine's ``OptimWrapper``.

    Raises:
        ValueError: ``dtype`` is not ``bfloat16``.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dtype != 'bfloat16':
            raise ValueError(
                f"AutocastOptimWrapper expects dtype='bfloat16', found {dtype!r}; for "
                f"float16 on a GPU use type='AmpOptimWrapper'.")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enables autocast and mmengine's gradient accumulation."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), bf16_autocast(device):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupOptimWrapperConstructor:
    """Builds one optimizer for each group of modules that a restorer trains.

    The restorer's ``trainable_groups()`` names the groups. The config has an optim
    wrapper for each of them::

        optim_wrapper = dict(
            constructor='fdsr.GroupOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4)),
            discriminator=dict(type='OptimWrapper', optimizer=dict(...)))

    Args:
        optim_wrapper_cfg: configs by group.
        paramwise_cfg: not supported.

    Raises:
        ValueError: a group has no optimizer, or ``paramwise_cfg`` is given.
    """

    def __init__(self, optim_wrapper_cfg: dict,
                 paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(
                'GroupOptimWrapperConstructor does not support paramwise_cfg.')
        self.configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Builds the optimizers; those of groups that do not exist are left out."""
        model = unwrap(model)
        groups = model.trainable_groups()
        missing = set(groups) - set(self.configs)
        if missing:
            raise ValueError(
                f'{type(model).__name__} trains {", ".join(groups)}; optim_wrapper has '
                f'no optimizer for {", ".join(sorted(missing))}.')
        return OptimWrapperDict(**{
            name: _build(self.configs[name], modules)
            for name, modules in groups.items()
        })


def _build(config: dict, modules: list[nn.Module]) -> OptimWrapper:
    parameters = [parameter for module in modules
                  for parameter in module.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS.build({**config['optimizer'], 'params': parameters})
    return OPTIM_WRAPPERS.build(
        {'type': 'OptimWrapper', **config, 'optimizer': optimizer})


def named_wrappers(wrappers: OptimWrapper | OptimWrapperDict) -> dict[str, Any]:
    """Returns a dict of optim wrappers; the key of a single one is empty."""
    if isinstance(wrappers, OptimWrapperDict):
        return dict(wrappers.items())
    return {'': wrappers}


def partial_gradients(wrappers: OptimWrapper | OptimWrapperDict
                      ) -> dict[str, list[Tensor | None]] | None:
    """Returns the gradients that are accumulated for the next optimizer step.

    Returns:
        Gradients by name of the optim wrapper, in the order of its parameters. None
        right after a step, or with several processes, whose gradients differ.
    """
    named = named_wrappers(wrappers)
    if get_world_size() > 1 or all(
            wrapper.should_update() for wrapper in named.values()):
        return None
    return {name: [None if parameter.grad is None else parameter.grad.cpu().clone()
                   for parameter in _parameters(wrapper)]
            for name, wrapper in named.items()}


def set_partial_gradients(wrappers: OptimWrapper | OptimWrapperDict,
                          gradients: dict[str, list[Tensor | None]],
                          iteration: int) -> None:
    """Sets the gradients that ``partial_gradients`` returned.

    Args:
        wrappers: those that step after this iteration are left out.
        gradients: by name of the optim wrapper.
        iteration: number of finished iterations.

    Raises:
        ValueError: their number or shapes do not match the parameters.
    """
    for name, wrapper in named_wrappers(wrappers).items():
        if iteration % wrapper._accumulative_counts == 0:
            continue
        for parameter, gradient in zip(
                _parameters(wrapper), gradients[name], strict=True):
            if gradient is not None and gradient.shape != parameter.shape:
                raise ValueError(f'expected a gradient of shape '
                                 f'{tuple(parameter.shape)}, found '
                                 f'{tuple(gradient.shape)}')
            parameter.grad = None if gradient is None else torch.empty_like(
                parameter).copy_(gradient)  # with the strides of the parameter


def _parameters(wrapper: OptimWrapper) -> list[nn.Parameter]:
    return [parameter for group in wrapper.optimizer.param_groups
            for parameter in group['params']]
