"""The pixel term of equation (1): distance of SR and GT."""

import torch
from torch import Tensor, nn

from fdsr.registry import MODELS

_KINDS = {
    'mse': lambda diff, eps: diff.square().mean(),
    'l2norm': lambda diff, eps: torch.linalg.vector_norm(diff.flatten(1), dim=1).mean(),
    'l1': lambda diff, eps: diff.abs().mean(),
    'charbonnier': lambda diff, eps: (diff.square() + eps**2).sqrt().mean(),
}


@MODELS.register_module()
class PixelLoss(nn.Module):
    """Distance between SR and GT, computed on images in [-1, 1].

    The first term of equation (1). The paper writes E||SR - GT||_2 without saying how
    the norm is reduced. Every ``kind`` uses differences on [-1, 1], twice those on
    [0, 1], because the weights of the presets were chosen for that range.

    Args:
        kind: ``'mse'``, mean squared error over all elements; ``'l2norm'``, Euclidean
            norm of each sample, averaged over the batch (grows with the image size);
            ``'l1'``, mean absolute error; ``'charbonnier'``, mean of
            sqrt(d^2 + eps^2).
        loss_weight: factor of the result.
        eps: smoothing of ``'charbonnier'``, in units of [-1, 1].

    Raises:
        ValueError: unknown ``kind``.
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
                f'PixelLoss: SR is {tuple(sr.shape)}, GT is {tuple(gt.shape)}; '
                'expected equal shapes. Give the backbone and the data the same '
                'scale.')
        diff = 2 * (sr.float() - gt.float())
        return self.loss_weight * _KINDS[self.kind](diff, self.eps)
