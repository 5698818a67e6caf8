"""Equation (2): one update of the discriminators."""

from typing import Any, Dict, Iterable, List, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from fdsr.utils.modules import unwrap

Features = Dict[str, Tensor]


def features_seen(losses: nn.ModuleDict, features: Features,
                  iteration: int) -> Features:
    """What each D gets to see of the features, by adversarial loss."""
    return {name: loss.seen(features[name], iteration)
            for name, loss in losses.items() if loss.adversarial}


def discriminator_step(losses: nn.ModuleDict, discriminator: nn.Module, ours: Features,
                       theirs: Features, iteration: int,
                       wrapper: Any) -> Dict[str, Tensor]:
    """One update of the discriminators that are to learn.

    Args:
        losses: all of them, by name.
        discriminator: a ``PerTap`` with a D for each adversarial loss, or a
            distributed wrapper around it.
        ours: the student's features by loss; no gradient goes back to them.
        theirs: what D has to take for real, by loss.
        iteration: of the run.
        wrapper: D's optim wrapper.

    Returns:
        What to log, by name of the loss: D's own, its mean outputs and accuracy, and,
        where asked for, the penalty and whether D was updated.
    """
    log: Dict[str, Tensor] = {}
    total: Any = 0.0
    resting: List[str] = []
    with wrapper.optim_context(discriminator):
        seen = features_seen(losses, theirs, iteration)
        real = discriminator(seen)
        fake = discriminator(features_seen(
            losses, {name: f.detach() for name, f in ours.items()}, iteration))
        for name in real:
            halves = losses[name].discriminator_losses(real[name], fake[name])
            loss = halves['real'] + halves['fake']
            log[f'loss_d_{name}'] = loss.detach()
            log.update(_scores_log(name, real[name].detach(), fake[name].detach()))
            if not _learns(name, losses[name], log):
                resting.append(name)
                loss = 0 * loss  # a distributed wrapper waits for every gradient
            elif losses[name].r1 > 0:
                penalty = losses[name].penalty(unwrap(discriminator)[name], seen[name])
                log[f'd_r1_{name}'] = penalty.detach()
                loss = loss + penalty
            total = total + loss
    _update(wrapper, total, unwrap(discriminator), resting)
    return log


def _learns(name: str, loss: nn.Module, log: Dict[str, Tensor]) -> bool:
    """Whether a D is to learn from this batch; notes it where it depends."""
    if loss.update_below is None:
        return True
    accuracy = log[f'd_accuracy_{name}'].clone()
    all_reduce(accuracy, op='mean')  # all processes have to decide alike
    learns = loss.learns(float(accuracy))
    log[f'd_updated_{name}'] = torch.tensor(float(learns))
    return learns


def _update(wrapper: Any, loss: Tensor, judges: nn.ModuleDict,
            resting: Sequence[str]) -> None:
    """``wrapper.update_params``, but a D that rests has no gradient at all.

    On a gradient of zero Adam would move it by its momentum. What it accumulated on
    batches from which it learned stays. Where nothing has a gradient there is no step,
    on which a ``GradScaler`` would stumble; the iteration counts all the same, so that
    accumulation keeps its rhythm.
    """
    if not resting:
        wrapper.update_params(loss)
        return
    idle = [parameter for name in resting for parameter in judges[name].parameters()]
    if len(resting) == len(judges) and not _any_gradient(idle):
        loss = torch.zeros_like(loss, requires_grad=True)  # spares the way back
    untouched = [parameter for parameter in idle if parameter.grad is None]
    wrapper.backward(wrapper.scale_loss(loss))
    for parameter in untouched:
        parameter.grad = None
    if wrapper.should_update():
        if any(_any_gradient(group['params']) for group in wrapper.param_groups):
            wrapper.step()
        wrapper.zero_grad()


def _any_gradient(parameters: Iterable[nn.Parameter]) -> bool:
    return any(parameter.grad is not None for parameter in parameters)


def _scores_log(name: str, real: Tensor, fake: Tensor) -> Dict[str, Tensor]:
    """D's mean outputs, and its accuracy with 0.5 as the border."""
    right = ((real > 0.5).float().mean() + (fake <= 0.5).float().mean()) / 2
    return {f'd_real_{name}': real.float().mean(),
            f'd_fake_{name}': fake.float().mean(), f'd_accuracy_{name}': right}
