"""LPIPS 0.1 with the package lpips and weights whose hashes are checked."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.evaluation.pair_metric import PairMetric
from fdsr.registry import METRICS
from fdsr.weights import ExternalWeights, lpips_heads, vgg_state_dict

VERSION = '0.1'
# Name here: (name in the package, name of the trunk in fdsr.weights).
_NETS = {'alex': ('alex', 'alexnet'), 'vgg16': ('vgg', 'vgg16')}
# Smallest side whose last feature map is not empty.
_MIN_SIZE = {'alex': 31, 'vgg16': 16}


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
            'The metric LPIPS needs the package lpips: pip install "fdsr[train]"'
        ) from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # lpips 0.1.4 passes the deprecated argument `pretrained` to torchvision.
        warnings.filterwarnings('ignore', module='torchvision')
        return lpips.LPIPS(
            net=package_net, version=VERSION, pretrained=False, pnet_rand=True,
            verbose=False)


@METRICS.register_module()
class LPIPS(PairMetric):
    """Learned perceptual distance, version 0.1; lower is better.

    Args:
        net: 'alex' (column 'LPIPS') or 'vgg16' (column 'LPIPS-vgg16').
        weights: File of the trunk; default: found by `fdsr.weights`.
        sha256: Hash of `weights` if it is not a known file.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.

    Raises:
        ValueError, ImportError, FileNotFoundError: See `build_lpips`.
    """

    metric = 'LPIPS'
    higher_is_better = False
    digits = 4

    def __init__(
        self, net: str = 'alex', weights: str | None = None,
        sha256: str | None = None, collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.net = net
        if net != 'alex':
            self.metric = f'LPIPS-{net}'
        self.model, self.trunk_file, self.heads_file = build_lpips(
            net, weights, sha256)

    def check_size(self, size: int) -> None:
        """Checks that images are large enough for the network.

        Raises:
            ValueError: The smaller side is less than 31 (alex) or 16 pixels (vgg16).
        """
        least = _MIN_SIZE[self.net]
        if size < least:
            raise ValueError(
                f'LPIPS: images of {size} px, expected at least {least} px for '
                f'net={self.net!r}. Remove LPIPS from the metrics, or use larger '
                'images.')

    def protocol(self) -> dict[str, Any]:
        """Returns the facts that are reported with the metric's numbers."""
        return dict(
            metric='LPIPS', net=self.net, version=VERSION, input='RGB in [-1, 1]',
            border=0, trunk_sha256=self.trunk_file.sha256,
            heads_sha256=self.heads_file.sha256)

    @torch.no_grad()
    def process_batch(self, gt: Tensor, pred: Tensor) -> list[float]:
        """Returns the distance of each pair of a batch.

        Args:
            gt: (B, 3, H, W) uint8 RGB.
            pred: (B, 3, H, W) uint8 RGB. The network is moved to its device.

        Returns:
            B distances.

        Raises:
            ValueError: The shapes differ, the type is not uint8, or the images are
                too small, see `check_size`.
        """
        self.check_batch(gt, pred)
        self.check_size(min(gt.shape[-2:]))
        self.model.to(pred.device)
        gt = gt.to(pred.device)
        values = self.model(pred.float() / 127.5 - 1, gt.float() / 127.5 - 1)
        return values.flatten().tolist()
