"""Autocast to bf16 that is no slower than fp32 where a CPU lacks bf16."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@contextmanager
def bf16_autocast(device: str) -> Iterator[None]:
    """``torch.autocast`` to bf16, usable on every CPU.

    Without AVX-512 (or Arm's bf16 instructions) torch falls back to convolutions that
    are ten to three hundred times slower than fp32's. There they are computed in fp32,
    from values rounded to bf16, and rounded again: what bf16 instructions do, which add
    up in fp32, too. Only the order of the sums differs.

    Args:
        device: the type of the device, e.g. ``cpu`` or ``cuda``.
    """
    with torch.autocast(device, torch.bfloat16):
        if device != 'cpu' or has_bf16():
            yield
        else:
            with _RoundedConvolutions():
                yield


def has_bf16() -> bool:
    """Whether this CPU has fast bf16 convolutions."""
    return (torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _RoundedConvolutions(TorchFunctionMode):
    """Computes in fp32, on rounded values, what autocast would compute in bf16."""

    _functions = frozenset([
        torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose1d,
        torch.conv_transpose2d, torch.conv_transpose3d, F.linear])

    def __torch_function__(self, function: Any, types: Sequence[type],
                           args: Sequence[Any] = (),
                           kwargs: Optional[Dict[str, Any]] = None) -> Any:
        kwargs = kwargs or {}
        if function not in self._functions or not torch.is_autocast_enabled('cpu'):
            return function(*args, **kwargs)
        with torch.autocast('cpu', enabled=False):
            result = function(
                *map(_rounded, args),
                **{key: _rounded(value) for key, value in kwargs.items()})
        return result.to(torch.bfloat16)


def _rounded(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.bfloat16).float()
    return value
