"""A discriminator of images that grows with a progressive network."""

from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.progress import check_progress
from fdsr.registry import MODELS


@MODELS.register_module()
class ProgressiveDiscriminator(nn.Module):
    """The counterpart of ``ProgressiveFSR``, for ``WassersteinLoss``.

    Each step has a 1×1 convolution from RGB and a block that halves the resolution. A
    new step is blended with the one before, which sees the image at half size, by the
    same ``alpha`` as in the network. There are no norms, because the gradient penalty
    needs scores that depend on one sample only.

    Args:
        scale: factor from LR to SR of the network.
        channels: channels at the resolution of LR; each step has half as many.

    Raises:
        ValueError: ``scale`` is not a power of two, or ``channels`` are not divisible
            by it.
    """

    def __init__(self, scale: int = 8, channels: int = 512) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError('ProgressiveDiscriminator: scale must be a power of two, '
                             f'found {scale}.')
        if channels < scale or channels % scale:
            raise ValueError(f'channels: expected a multiple of scale={scale}, found '
                             f'{channels}.')
        self.num_steps = scale.bit_length() - 1
        widths = [channels >> number for number in range(self.num_steps + 1)]
        self.from_rgb = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, width, 1), nn.LeakyReLU(0.2))
            for width in widths[1:])
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, wider, 4, stride=2, padding=1),
                          nn.LeakyReLU(0.2))
            for wider, width in zip(widths, widths[1:]))
        self.score = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 1, 1))
        self.set_progress(self.num_steps)

    def set_progress(self, step: int, alpha: float = 1.0) -> None:
        """Sets the last step in use and its weight.

        Raises:
            ValueError: ``step`` or ``alpha`` is out of range.
        """
        check_progress(self.num_steps, step, alpha)
        self.step, self.alpha = step, float(alpha)

    def forward(self, image: Tensor) -> Tensor:
        """Returns scores (B,) of images (B, 3, H, W) in [−1, 1] at the step's size."""
        last = self.step - 1
        feature = self.blocks[last](self.from_rgb[last](image))
        if last > 0 and self.alpha < 1:
            before = self.from_rgb[last - 1](F.avg_pool2d(image, 2))
            feature = (1 - self.alpha) * before + self.alpha * feature
        for block in reversed(self.blocks[:last]):
            feature = block(feature)
        return self.score(feature).mean((1, 2, 3))
