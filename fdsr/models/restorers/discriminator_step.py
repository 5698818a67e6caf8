"""Equation (2): one update of the discriminators."""

from typing import Any, Dict

from torch import Tensor, nn

from fdsr.utils.modules import unwrap

Features = Dict[str, Tensor]


def features_seen(losses: nn.ModuleDict, features: Features) -> Features:
    """Returns the input of each discriminator, by adversarial loss."""
    return {name: loss.seen(features[name])
            for name, loss in losses.items() if loss.adversarial}


def discriminator_step(losses: nn.ModuleDict, discriminator: nn.Module,
                       student: Features, target: Features,
                       wrapper: Any) -> Dict[str, Tensor]:
    """Updates the discriminators once.

    Args:
        losses: all feature losses, by name.
        discriminator: a ``PerTap`` with one discriminator for each adversarial loss,
            or a distributed wrapper around it.
        student: the student's features (B, C, H, W), by loss. They are detached.
        target: the features that the discriminator has to classify as real, by loss.
        wrapper: the discriminators' optim wrapper.

    Returns:
        Values to log for each adversarial loss: the discriminator's loss, mean scores
        and accuracy, and the gradient penalty if it is enabled.
    """
    log: Dict[str, Tensor] = {}
    total: Any = 0.0
    with wrapper.optim_context(discriminator):
        seen = features_seen(losses, target)
        real = discriminator(seen)
        fake = discriminator(features_seen(
            losses, {name: feature.detach() for name, feature in student.items()}))
        for name in real:
            loss = losses[name].discriminator_loss(real[name], fake[name])
            log[f'loss_d_{name}'] = loss.detach()
            log.update(_scores_log(name, real[name].detach(), fake[name].detach()))
            if losses[name].r1 > 0:
                penalty = losses[name].penalty(unwrap(discriminator)[name], seen[name])
                log[f'd_r1_{name}'] = penalty.detach()
                loss = loss + penalty
            total = total + loss
    wrapper.update_params(total)
    return log


def _scores_log(name: str, real: Tensor, fake: Tensor) -> Dict[str, Tensor]:
    """Returns the mean scores, and the accuracy with a threshold of 0.5."""
    accuracy = ((real > 0.5).float().mean() + (fake <= 0.5).float().mean()) / 2
    return {f'd_real_{name}': real.float().mean(),
            f'd_fake_{name}': fake.float().mean(), f'd_accuracy_{name}': accuracy}
