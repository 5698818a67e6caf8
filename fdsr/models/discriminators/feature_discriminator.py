"""The paper's discriminator D, a small CNN on feature maps."""

from typing import Callable, Dict, List

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fdsr.registry import MODELS

_NORMS: Dict[str, Callable[[int], nn.Module]] = {
    'batch': nn.BatchNorm2d,
    'instance': lambda channels: nn.InstanceNorm2d(channels, affine=True),
    'none': lambda channels: nn.Identity(),
    'spectral': lambda channels: nn.Identity(),
}


@MODELS.register_module()
class FeatureDiscriminator(nn.Module):
    """Patch discriminator without a final sigmoid, for LSGAN.

    ``depth`` blocks of [Conv 4×4 stride 2 – norm – LeakyReLU 0.2], each doubling the
    channels up to 512, then a 3×3 convolution to one channel.

    Args:
        in_channels: channels of the feature maps.
        base_channels: channels of the first block.
        depth: number of blocks.
        norm: ``batch``, ``instance``, ``spectral`` (on every convolution) or ``none``.

    Raises:
        ValueError: unknown ``norm``, or ``depth`` below 1.
    """

    def __init__(self, in_channels: int, base_channels: int = 64, depth: int = 4,
                 norm: str = 'batch') -> None:
        super().__init__()
        if norm not in _NORMS:
            raise ValueError(
                f'Unknown norm {norm!r}; expected one of {", ".join(_NORMS)}.')
        if depth < 1:
            raise ValueError(f'depth: expected at least 1, found {depth}.')
        wrap = spectral_norm if norm == 'spectral' else lambda layer: layer
        layers: List[nn.Module] = []
        before = in_channels
        for step in range(depth):
            after = min(base_channels * 2**step, 512)
            layers += [wrap(nn.Conv2d(before, after, 4, stride=2, padding=1)),
                       _NORMS[norm](after), nn.LeakyReLU(0.2)]
            before = after
        layers.append(wrap(nn.Conv2d(before, 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, feature: Tensor) -> Tensor:
        """Returns scores (B, 1, H / 2^depth, W / 2^depth) of features (B, C, H, W)."""
        return self.layers(feature)
