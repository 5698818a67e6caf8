"""Wasserstein loss with a gradient penalty."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fdsr.registry import MODELS


@MODELS.register_module()
class WassersteinLoss(nn.Module):
    """WGAN-GP (Gulrajani et al. 2017) between GT and SR.

    The discriminator D takes images in [−1, 1] and returns one score for each. D's loss
    is E[D(SR)] − E[D(GT)] + λ · E[(‖∇D(x)‖₂ − 1)²], with x at a random position between
    GT and SR of the same sample. The network's loss is −E[D(SR)].

    Args:
        loss_weight: factor of the network's loss.
        gradient_penalty: weight λ.

    Raises:
        ValueError: ``gradient_penalty`` is negative.
    """

    def __init__(self, loss_weight: float = 1.0, gradient_penalty: float = 10.0
                 ) -> None:
        super().__init__()
        if gradient_penalty < 0:
            raise ValueError(f'gradient_penalty: expected at least 0, found '
                             f'{gradient_penalty}.')
        self.loss_weight, self.gradient_penalty = loss_weight, gradient_penalty

    def forward(self, fake: Tensor) -> Tensor:
        """Returns the network's weighted loss from D's scores of SR."""
        return -self.loss_weight * fake.float().mean()

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Returns D's loss from its scores of GT and SR, without the penalty."""
        return fake.float().mean() - real.float().mean()

    def penalty(self, discriminator: Callable[[Tensor], Tensor], real: Tensor,
                fake: Tensor) -> Tensor:
        """Returns λ · E[(‖∇D(x)‖₂ − 1)²], computed in fp32 even under autocast.

        Args:
            discriminator: D; it runs once and must treat each sample separately, so
                without batch norm.
            real: GT (B, 3, H, W) in [−1, 1].
            fake: SR of the same shape.
        """
        with torch.autocast(real.device.type, enabled=False):
            real, fake = real.detach().float(), fake.detach().float()
            position = torch.rand(len(real), 1, 1, 1, device=real.device)
            between = torch.lerp(real, fake, position).requires_grad_()
            gradient, = torch.autograd.grad(
                discriminator(between).sum(), between, create_graph=True)
            norms = gradient.flatten(1).norm(dim=1)
            return self.gradient_penalty * (norms - 1).square().mean()
