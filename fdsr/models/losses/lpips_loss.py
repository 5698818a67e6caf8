"""LPIPS as a training loss."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fdsr.models.lpips import build_lpips
from fdsr.registry import MODELS


@MODELS.register_module()
class LPIPSLoss(nn.Module):
    """Learned perceptual distance (Zhang et al., CVPR 2018), averaged over the batch.

    It takes the place of :class:`PerceptualLoss`. LPIPS normalizes the features of each
    position and weights the channels by human judgements. The default network is
    VGG-16, so that the metric, which uses AlexNet, stays independent.

    Args:
        net: ``'vgg16'`` or ``'alex'``.
        loss_weight: factor of the result.
        weights: file of the network; default: found by ``fdsr.weights``.
        sha256: hash of ``weights`` if it is not a known file.
        window: side of a random window of each image, the same in SR and GT, in
            training mode. LPIPS was fitted to windows of 64 pixels. Default: the whole
            image. The cost is proportional to the area.

    Attributes:
        external_weights: file of the network.

    Raises:
        ValueError: unknown ``net``, ``window`` below 32, or a file with an unexpected
            hash.
        ImportError: the package lpips is missing.
        FileNotFoundError: the network's file is not on this machine.
    """

    def __init__(self, net: str = 'vgg16', loss_weight: float = 1.0,
                 weights: str | Path | None = None, sha256: str | None = None,
                 window: int | None = None) -> None:
        super().__init__()
        if window is not None and window < 32:
            raise ValueError(
                f'LPIPSLoss: window={window}, expected at least 32 pixels.')
        self.loss_weight, self.window = loss_weight, window
        self.network, self.external_weights, _ = build_lpips(net, weights, sha256)

    def train(self, mode: bool = True) -> 'LPIPSLoss':
        """Sets the mode; the package's dropout stays off."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Returns the weighted distance.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: (B, 3, H, W) RGB in [0, 1].

        Returns:
            A scalar, in bf16 under bf16 autocast.
        """
        if self.window is not None and self.training:
            sr, gt = _windows(sr, gt, self.window)
        return self.loss_weight * self.network(2 * sr - 1, 2 * gt - 1).mean()


def _windows(sr: Tensor, gt: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Cuts a random square out of each image, the same from both."""
    height, width = (min(length, side) for length in sr.shape[-2:])
    tops = torch.randint(sr.shape[-2] - height + 1, (len(sr),)).tolist()
    lefts = torch.randint(sr.shape[-1] - width + 1, (len(sr),)).tolist()
    return tuple(
        torch.stack([image[:, top:top + height, left:left + width]
                     for image, top, left in zip(images, tops, lefts)])
        for images in (sr, gt))
