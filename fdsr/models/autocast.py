"""Autocast to bf16 that stays as fast as fp32 on CPUs without bf16 instructions."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@contextmanager
def bf16_autocast(device: str) -> Iterator[None]:
    """Enters ``torch.autocast`` to bf16, usable on every CPU.

    Without AVX-512 (or Arm's bf16 instructions) torch's bf16 convolutions are ten to
    three hundred times slower than in fp32. On such CPUs this context computes them in
    fp32 from values rounded to bf16, and rounds the result. bf16 instructions
    accumulate in fp32 too, so only the order of the sums differs.

    Args:
        device: type of the device, e.g. ``cpu`` or ``cuda``.
    """
    with torch.autocast(device, torch.bfloat16):
        if device != 'cpu' or has_bf16():
            yield
        else:
            with _RoundedConvolutions():
                yield


def full_precision(image: Tensor) -> Tensor:
    """Returns an image in fp32 under autocast, and unchanged elsewhere.

    Sums of images in half precision would lose some of their 8 bits.
    """
    device = image.device.type
    enabled = torch.amp.is_autocast_available(device) and (
        torch.is_autocast_enabled(device))
    return image.float() if enabled else image


def has_bf16() -> bool:
    """Returns whether this CPU has fast bf16 convolutions."""
    return (torch.backends.mkldnn.is_available()
            and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _RoundedConvolutions(TorchFunctionMode):
    """Computes convolutions and linear layers in fp32 from values rounded to bf16."""

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
