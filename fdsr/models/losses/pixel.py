"""The pixel term of eq. (1): how far SR is from GT."""

import torch
from torch import Tensor, nn

from fdsr.registry import MODELS


def _mse(diff: Tensor, eps: float) -> Tensor:
    return diff.square().mean()


def _l2norm(diff: Tensor, eps: float) -> Tensor:
    return torch.linalg.vector_norm(diff.flatten(1), dim=1).mean()


def _l1(diff: Tensor, eps: float) -> Tensor:
    return diff.abs().mean()


def _charbonnier(diff: Tensor, eps: float) -> Tensor:
    return (diff.square() + eps ** 2).sqrt().mean()


_KINDS = {'mse': _mse, 'l2norm': _l2norm, 'l1': _l1, 'charbonnier': _charbonnier}


@MODELS.register_module()
class PixelLoss(nn.Module):
    """Distance between SR and GT, taken on images in [-1, 1].

    The first term of eq. (1). The paper writes E||SR - GT||_2 and leaves open what it
    means. Whatever the reading, the difference is taken on [-1, 1], where the weights
    of the presets were chosen: it is twice that of images in [0, 1].

    Args:
        kind: 'mse', the mean of squares over all elements; 'l2norm', the literal
            per-sample Euclidean norm, averaged over the batch (it grows with the
            image's size); 'l1', the mean of absolute values; 'charbonnier', the mean
            of sqrt(d^2 + eps^2).
        loss_weight: factor of the result.
        eps: the smoothing of 'charbonnier', in units of [-1, 1].

    Raises:
        ValueError: another `kind`.
    """

    def __init__(
        self, kind: str = 'mse', loss_weight: float = 1.0, eps: float = 1e-3,
    ) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ValueError(
                f'PixelLoss: kind={kind!r}, expected one of {sorted(_KINDS)}.')
        self.kind = kind
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Returns the weighted distance.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: (B, 3, H, W) RGB in [0, 1].

        Returns:
            A scalar in fp32.

        Raises:
            ValueError: the shapes differ.
        """
        if sr.shape != gt.shape:
            raise ValueError(
                f'PixelLoss: SR is {tuple(sr.shape)}, GT is {tuple(gt.shape)}; they '
                'must be equal. Check the scale of the backbone and of the data.')
        diff = 2 * (sr.float() - gt.float())
        return self.loss_weight * _KINDS[self.kind](diff, self.eps)
