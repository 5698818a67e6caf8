"""Recording of intermediate features without modifying the network."""

import difflib
from typing import Any, Callable, Iterable

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fdsr.utils.modules import unwrap


class FeatureTaps:
    """Records the inputs or outputs of named modules during forward passes.

    Use it as a context manager, so that no feature stays in memory between steps::

        with FeatureTaps(student, ['decoder.to_rgb:input']) as features:
            sr = student(lr)
        features['decoder.to_rgb:input']  # (B, C, H, W)

    The hooks are registered on the inner modules, so they also run when the network
    is called through a distributed wrapper.

    Args:
        network: the network, with or without a distributed wrapper.
        taps: features to record.

    Raises:
        ValueError: a tap is malformed, or the network has no such module.
    """

    def __init__(self, network: nn.Module, taps: Iterable[str]) -> None:
        network = unwrap(network)
        modules = dict(network.named_modules())
        self._modules: list[tuple[str, str, nn.Module]] = []
        for tap in dict.fromkeys(taps):
            path, _, side = tap.partition(':')
            if side not in ('input', 'output'):
                raise ValueError('tap: expected MODULE.PATH:input or '
                                 f'MODULE.PATH:output, found {tap!r}.')
            if path not in modules:
                near = difflib.get_close_matches(path, modules, n=4, cutoff=0.3)
                raise ValueError(
                    f'{type(network).__name__} has no module {path!r}. Similar '
                    f'modules: {", ".join(near or list(modules)[1:8])}.')
            self._modules.append((tap, side, modules[path]))
        self._handles: list[RemovableHandle] = []
        self._features: dict[str, Tensor] = {}

    def __enter__(self) -> 'FeatureTaps':
        self._handles = [
            module.register_forward_hook(self._recorder(tap, side))
            for tap, side, module in self._modules
        ]
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _recorder(self, tap: str, side: str) -> Callable:
        def record(module: nn.Module, inputs: tuple, output: Any) -> None:
            value = output if side == 'output' else inputs[0]
            if isinstance(value, list) and hasattr(module, 'forward_steps'):
                value = value[-1]  # the result of a recurrent backbone
            if not isinstance(value, Tensor):
                raise TypeError(
                    f'The tap {tap}: expected a tensor, found a '
                    f'{type(value).__name__}. Tap another module.')
            self._features[tap] = value
        return record

    def __getitem__(self, tap: str) -> Tensor:
        """Returns the most recently recorded feature.

        Raises:
            KeyError: the module of the tap did not run.
        """
        if tap not in self._features:
            raise KeyError(
                f'Nothing was recorded at the tap {tap}: the network did not run its '
                f'module. Tap a module that runs in every forward pass.')
        return self._features[tap]
