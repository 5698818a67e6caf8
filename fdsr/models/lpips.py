"""LPIPS 0.1 from the package lpips, with weights whose hashes are checked."""

import warnings
from pathlib import Path

import torch
from torch import nn

from fdsr.weights import ExternalWeights, lpips_heads, vgg_state_dict

VERSION = '0.1'
# Name here: (name in the package, name of the trunk in fdsr.weights).
_NETS = {'alex': ('alex', 'alexnet'), 'vgg16': ('vgg', 'vgg16')}


def build_lpips(
    net: str = 'alex', path: str | Path | None = None,
    sha256: str | None = None,
) -> tuple[nn.Module, ExternalWeights, ExternalWeights]:
    """Builds the package's LPIPS from local weights.

    The package downloads its trunk through torchvision. To avoid that, this function
    builds a random trunk and loads the weights that `fdsr.weights` finds and checks.

    Args:
        net: 'alex' or 'vgg16'.
        path: File of the trunk; default: found by `fdsr.weights`.
        sha256: Hash of `path` if it is not a known file.

    Returns:
        The frozen module, (B, 3, H, W) RGB pairs in [-1, 1] -> (B, 1, 1, 1), and the
        records of the files of the trunk and of the heads.

    Raises:
        ValueError: The net is unknown, or the hash of a file differs.
        FileNotFoundError: The trunk or the heads are not on this machine.
    """
    if net not in _NETS:
        raise ValueError(f'LPIPS: net={net!r}, expected one of {sorted(_NETS)}.')
    package_net, trunk_name = _NETS[net]
    trunk, trunk_file = vgg_state_dict(trunk_name, path, sha256)
    heads, heads_file = lpips_heads(package_net)
    model = _random_lpips(package_net)
    # Within the package's slices, the layers are named by torchvision's indices.
    named = {
        f'net.{slice_name}.{layer}.{part}': trunk[f'features.{layer}.{part}']
        for slice_name, layers in model.net.named_children()
        for layer, module in layers.named_children()
        for part, _ in module.named_parameters()}
    # The package registers each head twice, as lin0 and as lins.0.
    state = {**named, **heads}
    state.update({f'lins.{name[3:]}': value for name, value in heads.items()})
    state.update(model.scaling_layer.state_dict(prefix='scaling_layer.'))
    model.load_state_dict(state, strict=True)
    return model.requires_grad_(False).eval(), trunk_file, heads_file


def _random_lpips(package_net: str) -> nn.Module:
    """Builds the package's module and restores the state of the random generator."""
    try:
        import lpips
    except ImportError as error:
        raise ImportError(
            'LPIPS needs the package lpips: pip install "fdsr[train]"'
        ) from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # lpips 0.1.4 passes the deprecated argument `pretrained` to torchvision.
        warnings.filterwarnings('ignore', module='torchvision')
        return lpips.LPIPS(
            net=package_net, version=VERSION, pretrained=False, pnet_rand=True,
            verbose=False)
