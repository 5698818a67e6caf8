"""ProgressiveFSR: a face SR network that doubles the resolution step by step."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.models.autocast import full_precision
from fdsr.models.contract import Backbone
from fdsr.models.progress import check_progress
from fdsr.registry import MODELS


@MODELS.register_module()
class ProgressiveFSR(Backbone):
    """Progressive face SR (Kim et al., BMVC 2019, arXiv 1908.08239).

    Each step doubles the resolution and has an RGB output of its own. Training adds one
    step after the other: ``step`` is the last step in use, and while it is new, its
    image is blended with the upsampled image of the step before, weighted by
    ``alpha``. A finished network uses all steps with ``alpha=1``; at ×8 it has 8.97 M
    parameters and was made for 16 → 128 px.

    Internally, images are in [−1, 1]; the output is not squashed. In eval mode the
    batch norms use their stored statistics.

    Args:
        scale: factor from LR to SR, 2 to the power of the number of steps.
        channels: channels of the first step; each step halves them.
        step: last step in use, from 1; default: all. Files of unfinished runs set it.
        alpha: weight of the image of ``step`` in [0, 1]; step 1 does not use it.

    Raises:
        ValueError: ``scale`` is not a power of two, ``channels`` are not divisible by
            ``scale``, or ``step`` or ``alpha`` is out of range.
    """

    def __init__(self, scale: int = 8, channels: int = 512, step: int | None = None,
                 alpha: float = 1.0) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f'scale: expected a power of two, at least 2, found '
                             f'{scale}.')
        if channels < scale or channels % scale:
            raise ValueError(f'channels: expected a multiple of scale={scale}, found '
                             f'{channels}.')
        self.scale = scale
        self.num_steps = scale.bit_length() - 1
        widths = [channels >> number for number in range(self.num_steps + 1)]
        self.steps = nn.ModuleList(
            nn.Sequential(ResidualBlock(before), *_upsample(before, after))
            for before, after in zip(widths, widths[1:]))
        self.head = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths[1:])
        self.set_progress(self.num_steps if step is None else step, alpha)

    def set_progress(self, step: int, alpha: float = 1.0) -> None:
        """Sets the last step in use and the weight of its image.

        Raises:
            ValueError: ``step`` or ``alpha`` is out of range.
        """
        check_progress(self.num_steps, step, alpha)
        self.step, self.alpha = step, float(alpha)

    def forward_steps(self, lr: Tensor) -> list[Tensor]:
        """Returns the image of each step in use, the last one blended by ``alpha``.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].

        Returns:
            ``step`` tensors (B, 3, h · 2^n, w · 2^n) for n = 1 …, RGB, not clamped.
        """
        images = self._images(lr, range(self.step))
        if self.step > 1:
            images[-1] = self._blended(*images[-2:])
        return [(image + 1) / 2 for image in images]

    def forward(self, lr: Tensor, all_steps: bool = False, unfinished: bool = False
                ) -> Tensor | list[Tensor]:
        """Returns SR, or the images of all steps in use, not clamped.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            all_steps: return ``forward_steps(lr)``.
            unfinished: return the image of ``step`` also if it is an earlier one. For
                training; layers that do not contribute to it do not run.

        Raises:
            ValueError: SR is requested, but the network is at an earlier step.
        """
        if all_steps:
            return self.forward_steps(lr)
        if self.step < self.num_steps and not unfinished:
            raise ValueError(
                f'ProgressiveFSR is at step {self.step} of {self.num_steps}: its image '
                f'is ×{2**self.step}, expected ×{self.scale}. Use a checkpoint of the '
                'last step, or forward_steps for the images of earlier steps.')
        last = self.step - 1
        blended = last > 0 and self.alpha < 1
        images = self._images(lr, (last - 1, last) if blended else (last, ))
        return ((self._blended(*images) if blended else images[0]) + 1) / 2

    def _images(self, lr: Tensor, steps: Sequence[int]) -> list[Tensor]:
        """Returns the images of some steps in use, in [−1, 1] and not blended."""
        feature = self.head(2 * lr - 1)
        images: list[Tensor] = []
        for number, body in enumerate(self.steps[:self.step]):
            feature = body(feature)
            if number in steps:
                images.append(full_precision(self.to_rgb[number](feature)))
        return images

    def _blended(self, before: Tensor, image: Tensor) -> Tensor:
        if self.alpha == 1:
            return image
        enlarged = F.interpolate(before, scale_factor=2.0, mode='nearest')
        return (1 - self.alpha) * enlarged + self.alpha * image


class EqualizedConv2d(nn.Module):
    """3×3 convolution whose weight is scaled by sqrt(2 / fan_in) at each call.

    The stored ``weight_orig`` has unit variance (equalized learning rate, Karras et
    al. 2018); the bias is not scaled.

    Args:
        channels: number of input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.randn(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain = (2 / (channels * 9)) ** 0.5

    def forward(self, feature: Tensor) -> Tensor:
        """Convolves (B, C, H, W) with zero padding."""
        return F.conv2d(feature, self.weight_orig * self.gain, self.bias, padding=1)


class ResidualBlock(nn.Module):
    """Twice (equalized convolution, batch norm, ReLU), plus the input.

    Args:
        channels: number of feature channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(
            layer for _ in range(2) for layer in (
                EqualizedConv2d(channels), nn.BatchNorm2d(channels), nn.ReLU())))

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape; no activation follows the sum."""
        return self.body(feature) + feature


def _upsample(before: int, after: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1),
            nn.BatchNorm2d(after), nn.ReLU()]
