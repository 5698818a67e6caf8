"""Optimisers of several networks, and autocast that also works on a CPU."""

from contextlib import contextmanager
from typing import Any, Iterator, List, Optional

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS
from torch import nn

from fdsr.models.autocast import bf16_autocast
from fdsr.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs forwards in autocast, on a CPU or a GPU, without scaling the loss.

    For bf16, whose range needs no scaler; see ``models.autocast`` for CPUs that lack
    it. For fp16 on a GPU take mmengine's ``AmpOptimWrapper``, which has one.

    Args:
        dtype: ``bfloat16``.
        **kwargs: as mmengine's ``OptimWrapper``.

    Raises:
        ValueError: ``dtype`` is not ``bfloat16``.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dtype != 'bfloat16':
            raise ValueError(
                f"AutocastOptimWrapper is for dtype='bfloat16', found {dtype!r}; for "
                f"float16 on a GPU use type='AmpOptimWrapper'.")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward, and gradient accumulation as in mmengine."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), bf16_autocast(device):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupOptimWrapperConstructor:
    """One optimiser for each group that a restorer trains.

    The restorer says with ``trainable_groups()`` which modules belong together; the
    config has an optim wrapper for each group::

        optim_wrapper = dict(
            constructor='fdsr.GroupOptimWrapperConstructor',
            student=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4)),
            discriminator=dict(type='OptimWrapper', optimizer=dict(...)))

    Args:
        optim_wrapper_cfg: the configs by group.
        paramwise_cfg: not supported.

    Raises:
        ValueError: a group has no optimiser; or ``paramwise_cfg`` is given.
    """

    def __init__(self, optim_wrapper_cfg: dict,
                 paramwise_cfg: Optional[dict] = None) -> None:
        if paramwise_cfg:
            raise ValueError('GroupOptimWrapperConstructor takes no paramwise_cfg.')
        self.configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Builds the optimisers; one without a group, as D's without D, is left out."""
        model = model.module if is_model_wrapper(model) else model
        groups = model.trainable_groups()
        missing = set(groups) - set(self.configs)
        if missing:
            raise ValueError(
                f'{type(model).__name__} trains {", ".join(groups)}; optim_wrapper has '
                f'no optimiser for {", ".join(sorted(missing))}.')
        return OptimWrapperDict(**{
            name: _build(self.configs[name], modules)
            for name, modules in groups.items()
        })


def _build(config: dict, modules: List[nn.Module]) -> OptimWrapper:
    config = dict(config)
    config.setdefault('type', 'OptimWrapper')
    optimizer = dict(config.pop('optimizer'))
    parameters = [parameter for module in modules
                  for parameter in module.parameters() if parameter.requires_grad]
    config['optimizer'] = OPTIMIZERS.build({**optimizer, 'params': parameters})
    return OPTIM_WRAPPERS.build(config)
