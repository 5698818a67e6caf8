"""LPIPS 0.1 on the package lpips, with checked trunks and heads."""

import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from fdsr.evaluation.pair_metric import PairMetric
from fdsr.registry import METRICS
from fdsr.weights import ExternalWeights, lpips_heads, vgg_state_dict

VERSION = '0.1'
# What we call the net: what the package calls it, and the trunk of fdsr.weights.
_NETS = {'alex': ('alex', 'alexnet'), 'vgg16': ('vgg', 'vgg16')}


def build_lpips(
    net: str = 'alex', path: Optional[Union[str, Path]] = None,
    sha256: Optional[str] = None,
) -> Tuple[nn.Module, ExternalWeights, ExternalWeights]:
    """Builds the package's LPIPS with real weights, downloading nothing.

    The package takes its trunk from torchvision's downloader. Here it builds a random
    one, whose values are then replaced by those that `fdsr.weights` finds and checks.

    Args:
        net: 'alex' or 'vgg16'.
        path: a file with the trunk; default: looked for.
        sha256: the hash of `path`, when it is not a known file.

    Returns:
        The frozen module: (B, 3, H, W) RGB pairs in [-1, 1] -> (B, 1, 1, 1); then what
        to record of the trunk's file, and of the heads'.

    Raises:
        ValueError: another net, or a file with another hash than it must have.
        FileNotFoundError: no trunk, or no heads, on this machine.
    """
    if net not in _NETS:
        raise ValueError(f'LPIPS: net={net!r}, expected one of {sorted(_NETS)}.')
    package_net, trunk_name = _NETS[net]
    trunk, trunk_file = vgg_state_dict(trunk_name, path, sha256)
    heads, heads_file = lpips_heads(package_net)
    model = _random_lpips(package_net)
    # The package's slices keep torchvision's indices as the names of their layers.
    named = {
        f'net.{slice_name}.{layer}.{part}': trunk[f'features.{layer}.{part}']
        for slice_name, layers in model.net.named_children()
        for layer, module in layers.named_children()
        for part, _ in module.named_parameters()}
    # lin0 ... and lins.0 ... are one module each, under two names.
    state = {**named, **heads}
    state.update({f'lins.{name[3:]}': value for name, value in heads.items()})
    state.update(model.scaling_layer.state_dict(prefix='scaling_layer.'))
    model.load_state_dict(state, strict=True)
    return model.requires_grad_(False).eval(), trunk_file, heads_file


def _random_lpips(package_net: str) -> nn.Module:
    """Builds the package's module, leaving the random generator as it was."""
    try:
        import lpips
    except ImportError as error:
        raise ImportError(
            'The metric LPIPS needs the package lpips: pip install "fdsr[train]"'
        ) from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # lpips 0.1.4 still says `pretrained` to torchvision.
        warnings.filterwarnings('ignore', module='torchvision')
        return lpips.LPIPS(
            net=package_net, version=VERSION, pretrained=False, pnet_rand=True,
            verbose=False)


@METRICS.register_module()
class LPIPS(PairMetric):
    """Learned perceptual distance, version 0.1; lower is better.

    Args:
        net: 'alex' (column 'LPIPS') or 'vgg16' (column 'LPIPS-vgg16').
        weights: a file with the trunk; default: looked for by `fdsr.weights`.
        sha256: the hash of `weights`, when it is not a known file.
        collect_device: as for mmengine's metrics.
        prefix: as for mmengine's metrics.

    Raises:
        ValueError, ImportError, FileNotFoundError: see `build_lpips`.
    """

    def __init__(
        self, net: str = 'alex', weights: Optional[str] = None,
        sha256: Optional[str] = None, collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.net = net
        self.metric = 'LPIPS' if net == 'alex' else f'LPIPS-{net}'
        self.model, self.trunk_file, self.heads_file = build_lpips(
            net, weights, sha256)

    def protocol(self) -> Dict[str, Any]:
        """Returns what has to stand beside a number of this metric."""
        return dict(
            metric='LPIPS', net=self.net, version=VERSION, input='RGB in [-1, 1]',
            border=0, trunk_sha256=self.trunk_file.sha256,
            heads_sha256=self.heads_file.sha256)

    @torch.no_grad()
    def process_batch(self, gt: Tensor, pred: Tensor) -> List[float]:
        """Returns the distance of each pair of a batch.

        Args:
            gt: (B, 3, H, W) uint8 RGB.
            pred: as `gt`. The network follows to its device.

        Returns:
            B distances.

        Raises:
            ValueError: the shapes differ, or the type is not uint8.
        """
        self.check_batch(gt, pred)
        self.model.to(pred.device)
        gt = gt.to(pred.device)
        values = self.model(pred.float() / 127.5 - 1, gt.float() / 127.5 - 1)
        return values.flatten().tolist()
