"""Spectral norm and other parametrisations of networks that no longer train."""

from torch import nn
from torch.nn.utils import parametrize


def bake_parametrisations(network: nn.Module) -> nn.Module:
    """Replaces parametrised weights by plain ones of the same value, in place.

    A spectrally normalised convolution divides its weight by its norm in every
    forward, which a frozen network can do once.

    Args:
        network: in eval mode; trains no more.

    Returns:
        The network, without gradients.
    """
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for parameter in list(module.parametrizations):
                parametrize.remove_parametrizations(
                    module, parameter, leave_parametrized=True)
    return network.requires_grad_(False)
