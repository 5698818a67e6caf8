"""Access to networks inside distributed wrappers."""

from torch import nn


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the network inside a distributed wrapper, or the network itself."""
    if not hasattr(module, 'module'):
        return module
    from mmengine.model import is_model_wrapper  # takes seconds to import
    return module.module if is_model_wrapper(module) else module
