"""Access to networks inside distributed wrappers."""

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the network inside a distributed wrapper, or the network itself."""
    return module.module if is_model_wrapper(module) else module
