"""LPIPS 0.1 from the package lpips, with weights whose hashes are checked."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from fdsr.openmmlab import is_installed
from fdsr.weights import ExternalWeights, lpips_heads, vgg_state_dict

VERSION = '0.1'
# Name here: (name in the package, name of the trunk in fdsr.weights).
_NETS = {'alex': ('alex', 'alexnet'), 'vgg16': ('vgg', 'vgg16')}


@dataclass(frozen=True)
class LPIPSWeights:
    """Checked weights of LPIPS, from which :meth:`build` makes the network.

    Reading the files takes milliseconds. Building the network imports the package
    lpips, which imports torchvision and SciPy.

    Attributes:
        net: 'alex' or 'vgg16'.
        trunk_file: Record of the file of the trunk.
        heads_file: Record of the file of the heads.
    """

    net: str
    trunk: dict[str, Tensor] = field(repr=False)
    heads: dict[str, Tensor] = field(repr=False)
    trunk_file: ExternalWeights
    heads_file: ExternalWeights

    @classmethod
    def read(cls, net: str = 'alex', path: str | Path | None = None,
             sha256: str | None = None) -> 'LPIPSWeights':
        """Reads and checks the files.

        Args:
            net: 'alex' or 'vgg16'.
            path: File of the trunk; default: found by `fdsr.weights`.
            sha256: Hash of `path` if it is not a known file.

        Raises:
            ValueError: The net is unknown, or the hash of a file differs.
            FileNotFoundError: The trunk or the heads are not on this machine.
            ImportError: The package lpips is missing.
        """
        if net not in _NETS:
            raise ValueError(f'LPIPS: net={net!r}, expected one of {sorted(_NETS)}.')
        package_net, trunk_name = _NETS[net]
        trunk, trunk_file = vgg_state_dict(trunk_name, path, sha256)
        heads, heads_file = lpips_heads(package_net)
        if not is_installed('lpips'):
            raise ImportError(
                'LPIPS needs the package lpips: pip install "fdsr[train]"')
        return cls(net, trunk, heads, trunk_file, heads_file)

    def build(self) -> nn.Module:
        """Returns the package's frozen network with these weights.

        The package would download its trunk through torchvision, and initialize it at
        random, which takes longer than anything else here. It is therefore built
        without values, on the device meta.

        Returns:
            The module, (B, 3, H, W) RGB pairs in [-1, 1] -> (B, 1, 1, 1).
        """
        import lpips
        with torch.device('meta'), warnings.catch_warnings():
            # lpips 0.1.4 passes the deprecated argument `pretrained` to torchvision.
            warnings.filterwarnings('ignore', module='torchvision')
            model = lpips.LPIPS(net=_NETS[self.net][0], version=VERSION,
                                pretrained=False, pnet_rand=True, verbose=False)
        model.scaling_layer = lpips.ScalingLayer()
        # Within the package's slices, the layers are named by torchvision's indices.
        state = {
            f'net.{slice_name}.{layer}.{part}': self.trunk[f'features.{layer}.{part}']
            for slice_name, layers in model.net.named_children()
            for layer, module in layers.named_children()
            for part, _ in module.named_parameters()}
        # The package registers each head twice, as lin0 and as lins.0.
        for name, value in self.heads.items():
            state[name] = state[f'lins.{name[3:]}'] = value
        state.update(model.scaling_layer.state_dict(prefix='scaling_layer.'))
        model.load_state_dict({name: value.clone() for name, value in state.items()},
                              strict=True, assign=True)
        return model.requires_grad_(False).eval()


def build_lpips(
    net: str = 'alex', path: str | Path | None = None,
    sha256: str | None = None,
) -> tuple[nn.Module, ExternalWeights, ExternalWeights]:
    """Builds the package's LPIPS from local weights.

    Args:
        net, path, sha256: See `LPIPSWeights.read`.

    Returns:
        The network of `LPIPSWeights.build`, and the records of the files of the trunk
        and of the heads.

    Raises:
        ValueError, FileNotFoundError, ImportError: See `LPIPSWeights.read`.
    """
    weights = LPIPSWeights.read(net, path, sha256)
    return weights.build(), weights.trunk_file, weights.heads_file
