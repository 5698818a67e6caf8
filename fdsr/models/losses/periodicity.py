"""A penalty on texture that repeats with the period of an LR pixel."""

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.registry import MODELS

#: Deviation in [0, 1] below which texture is not visible and not penalized.
_VISIBLE = 1 / 255


@MODELS.register_module()
class PeriodicityLoss(nn.Module):
    """Excess autocorrelation of fine texture at multiples of a period.

    On uniform input, a convolutional network with pixel shuffle can only produce
    texture that repeats with the period of an LR pixel: a grid or weave on skin, hair
    and background. Perceptual losses reward it as texture. This loss compares the
    autocorrelation of local windows of SR with that of GT and penalizes what exceeds
    it; texture without the period costs nothing.

    Args:
        period: period in pixels: the scale of the network.
        multiples: lags in periods.
        window: side of the local windows in pixels.
        loss_weight: factor of the result.

    Raises:
        ValueError: a lag is below 1 or not below ``window``.
    """

    def __init__(self, period: int = 8, multiples: Sequence[int] = (1, 2),
                 window: int = 32, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.lags = [period * multiple for multiple in multiples]
        self.kernel, self.window, self.loss_weight = period + 1, window, loss_weight
        if not self.lags or min(self.lags) < 1 or max(self.lags) >= window:
            raise ValueError(
                f'PeriodicityLoss: expected lags from 1 to below window={window}, '
                f'found {self.lags}.')

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Returns the weighted mean over windows, lags and both directions.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1].
            gt: (B, 3, H, W) RGB in [0, 1].

        Returns:
            A scalar in fp32: the excess of a correlation coefficient, at most 2, times
            ``loss_weight``.
        """
        with torch.autocast(sr.device.type, enabled=False):
            texture = self._texture(sr.float())
            with torch.no_grad():
                target = self._texture(gt.float())
            excess = [
                F.relu(self._correlation(one, lag)
                       - self._correlation(other, lag).clamp_min(0)).mean()
                for lag in self.lags
                for one, other in ((texture, target), (texture.mT, target.mT))]
            return self.loss_weight * torch.stack(excess).mean()

    def _texture(self, image: Tensor) -> Tensor:
        """Returns the grey image without its local means, (B, 1, H, W)."""
        grey = image.mean(1, keepdim=True)
        rows, columns = (self._means(side, grey.device) for side in grey.shape[-2:])
        return grey - rows.mT @ grey @ columns

    def _means(self, side: int, device: torch.device) -> Tensor:
        """Returns the matrix (side, side) that a row is multiplied with for its means.

        Two products are several times faster than ``avg_pool2d``.
        """
        pad = self.kernel // 2
        padded = F.pad(torch.eye(side, device=device), (pad, self.kernel - 1 - pad),
                       mode='reflect')
        return F.avg_pool1d(padded, self.kernel, 1)

    def _correlation(self, texture: Tensor, lag: int) -> Tensor:
        """Returns the correlation of each window with itself ``lag`` pixels on."""
        first, second = texture[..., lag:], texture[..., :-lag]
        side = min(self.window, *first.shape[-2:])
        product, energy = (
            F.avg_pool2d(value, side, max(1, side // 2))
            for value in (first * second, (first.square() + second.square()) / 2))
        return product / (energy + _VISIBLE**2)
