"""Limits on the size of a network while it is built from a file."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# A network may allocate a small multiple of the values in the file: it has buffers that
# are not saved, and initial values that the file's values replace.
_VALUES_PER_VALUE, _FREE_VALUES = 2, 2**25  # 128 MiB in fp32, more than VGG-19 has
_TENSORS_PER_TENSOR, _FREE_TENSORS = 4, 1024
#: For a plugin, which the user chose to install: 1 GiB in fp32.
_FREE_VALUES_OF_PLUGINS, _FREE_TENSORS_OF_PLUGINS = 2**28, 2**16
#: Minimum size of a value in an external file.
_BYTES_PER_VALUE = 2


class BudgetExceeded(RuntimeError):
    """A network needs more memory or tensors than the values in its file allow."""


class Budget(TorchFunctionMode):
    """Context manager that limits the tensors that the current thread creates.

    Each call of a torch factory function (``empty``, ``zeros``, ``randn``, …) first
    runs on the meta device to determine the size of its result, so that a tensor that
    is too large is never allocated. Tensors that the network itself creates on the meta
    device count towards the number of tensors but not towards the values.

    Args:
        values: number of values that the file has for the network.
        tensors: number of tensors that hold these values.
    """

    def __init__(self, values: int, tensors: int) -> None:
        super().__init__()
        self._given = _VALUES_PER_VALUE * values, _TENSORS_PER_TENSOR * tensors
        self._allow(_FREE_VALUES, _FREE_TENSORS)

    def widen(self) -> None:
        """Raises the limits to those of a plugin."""
        self._allow(_FREE_VALUES_OF_PLUGINS, _FREE_TENSORS_OF_PLUGINS)

    def _allow(self, free_values: int, free_tensors: int) -> None:
        self.values = self._values_left = self._given[0] + free_values
        self.tensors = self._tensors_left = self._given[1] + free_tensors

    @classmethod
    def of(cls, values: Mapping[str, Any],
           files: Iterable[str | Path] = (), extra: int = 0) -> 'Budget':
        """Returns the budget for the values of a file and of external files.

        Args:
            values: the file's tensors by name.
            files: external files that the network loads values from.
            extra: number of values from other sources.
        """
        tensors = [value for value in values.values() if isinstance(value, Tensor)]
        # views share the values of their storage
        storages = {
            storage.data_ptr(): storage.nbytes() // tensor.element_size()
            for tensor in tensors for storage in [tensor.untyped_storage()]}
        external = sum(Path(file).stat().st_size for file in files)
        return cls(sum(storages.values()) + external // _BYTES_PER_VALUE + extra,
                   len(tensors))

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _factories():
            self._charge(1, _numel_on_cpu(func, args, kwargs))
        elif func in (torch.unbind, Tensor.unbind):  # iteration and tolist call it too
            self._charge(_length_of(*args, **kwargs))
        return func(*args, **kwargs)

    def _charge(self, tensors: int, values: int = 0) -> None:
        """Subtracts tensors and their values from the remaining budget."""
        self._tensors_left -= tensors
        self._values_left -= values
        if self._values_left < 0:
            raise BudgetExceeded(
                f'the network needs more values than the file has (at most '
                f'{self.values} may be created)')
        if self._tensors_left < 0:
            raise BudgetExceeded(
                f'the network has more layers than the file has values for (at most '
                f'{self.tensors} tensors may be created)')


@lru_cache
def _factories() -> frozenset[Callable]:
    """Returns the torch functions that allocate a tensor of a given size."""
    names = ('arange', 'empty', 'empty_permuted', 'empty_strided', 'eye', 'full',
             'linspace', 'logspace', 'ones', 'rand', 'randint', 'randn', 'randperm',
             'zeros')
    methods = ('new_empty', 'new_empty_strided', 'new_full', 'new_ones', 'new_zeros')
    return frozenset([getattr(torch, name) for name in names]
                     + [getattr(Tensor, name) for name in methods])


def _length_of(tensor: Tensor, dim: int = 0) -> int:
    """Returns the number of tensors that ``unbind`` returns; 0 if it will fail."""
    return tensor.shape[dim] if -tensor.ndim <= dim < tensor.ndim else 0


def _numel_on_cpu(func: Callable, args: tuple, kwargs: dict) -> int:
    """Returns the number of values that a call allocates; 0 if it will fail."""
    if torch.device(kwargs.get('device') or 'cpu').type == 'meta':
        return 0
    kept = {name: value for name, value in kwargs.items()
            if name not in ('device', 'generator', 'out', 'pin_memory')}
    try:
        return func(*args, device='meta', **kept).numel()
    except (RuntimeError, TypeError, ValueError):
        return 0
