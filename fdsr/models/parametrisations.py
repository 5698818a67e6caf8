"""Removal of what only training needs, such as spectral norm, from networks."""

from torch import nn
from torch.nn.utils import parametrize


def bake_parametrisations(network: nn.Module) -> nn.Module:
    """Replaces parametrized weights by plain weights of the same value, in place.

    A convolution with spectral norm divides its weight by the norm in every forward
    pass. For a frozen network a single division is sufficient. A network with ``fuse``,
    such as :class:`RepSR`, also fuses its branches.

    Args:
        network: a network in eval mode that is not trained any further.

    Returns:
        The network, with ``requires_grad=False``.
    """
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for parameter in list(module.parametrizations):
                parametrize.remove_parametrizations(
                    module, parameter, leave_parametrized=True)
    if hasattr(network, 'fuse'):
        network.fuse()
    return network.requires_grad_(False)
