"""Distributed wrappers and the memory format of networks."""

import torch
from torch import nn


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the network inside a distributed wrapper, or the network itself."""
    if not hasattr(module, 'module'):
        return module
    from mmengine.model import is_model_wrapper  # takes seconds to import
    return module.module if is_model_wrapper(module) else module


def to_channels_last(network: nn.Module) -> None:
    """Stores the weights of convolutions in ``torch.channels_last``, in place.

    Buffers, such as the atoms of a dictionary, keep their format.
    """
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(
                memory_format=torch.channels_last)
