"""Connectors and discriminators between the features of student and teacher."""

from typing import Any, Sequence

import torch
from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.models.forward import run_backbone
from fdsr.models.taps import FeatureTaps
from fdsr.registry import MODELS
from fdsr.utils.modules import unwrap

#: Side of the LR image used to determine the shapes of features.
_PROBE_SIDE = 16
Features = dict[str, Tensor]
Shapes = dict[str, tuple[torch.Size, torch.Size]]


class PerTap(nn.ModuleDict):
    """Applies one module to each of several features in a single forward pass.

    It is an ``nn.Module`` so that a distributed wrapper around it observes every
    forward pass that trains it.
    """

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Applies each module to the feature of the same name; skips other features."""
        return {name: module(features[name]) for name, module in self.items()}


@torch.no_grad()
def probe_features(teacher: nn.Module, student: nn.Module,
                   losses: nn.ModuleDict) -> Shapes:
    """Returns the shapes (C, H, W) of student and teacher features for each loss.

    Raises:
        ValueError: the features of a pair differ in height or width, or the networks
            differ in scale.
    """
    found, sizes = [], []
    for network, taps in (
            (student, [loss.student_tap for loss in losses.values()]),
            (teacher, [loss.teacher_tap for loss in losses.values()])):
        shapes, side = probe(network, taps)
        found.append(shapes)
        sizes.append(side)
    if sizes[0] != sizes[1]:
        raise ValueError(
            f'From {_PROBE_SIDE} px the student returns {sizes[0]} px and the teacher '
            f'{sizes[1]} px. Their scales must match.')
    for name, student_shape, teacher_shape in zip(losses, *found):
        if student_shape[1:] != teacher_shape[1:]:
            raise ValueError(
                f'The features of {name} differ in size: from {_PROBE_SIDE} px the '
                f'student has {tuple(student_shape)} at {losses[name].student_tap}, '
                f'the teacher {tuple(teacher_shape)} at '
                f'{losses[name].teacher_tap or "GT"}. Tap features of the same height '
                f'and width.')
    return dict(zip(losses, zip(*found)))


@torch.no_grad()
def probe(network: nn.Module, taps: Sequence[str | None]
          ) -> tuple[list[torch.Size], int]:
    """Returns the shape at each tap (None: the SR image) and the side of the image."""
    lr = torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE)
    samples = DataSample(boxes=torch.tensor([0.0, 0, 8, 8]).expand(1, 4, 4))
    was_training = network.training
    with FeatureTaps(network.eval(), filter(None, taps)) as tapped:
        sr = run_backbone(network, lr, samples)
    network.train(was_training)
    shapes = [(sr if tap is None else tapped[tap]).shape[1:] for tap in taps]
    return shapes, sr.shape[-1]


def build_per_tap(losses: nn.ModuleDict, shapes: Shapes,
                  discriminator: dict) -> tuple[PerTap, PerTap]:
    """Builds the connectors and discriminators that the losses need.

    Raises:
        ValueError: a loss needs equal channels and its features differ.
    """
    connectors, discriminators = PerTap(), PerTap()
    for name, loss in losses.items():
        source, target = (shape[0] for shape in shapes[name])
        if loss.connector is True or (loss.connector == 'auto' and source != target):
            connectors[name] = nn.Conv2d(source, target, 1)
        elif source != target and loss.same_channels:
            raise ValueError(
                f'{name}: the student has {source} channels at {loss.student_tap}, '
                f"the teacher {target}. Set connector='auto' to learn a 1x1 "
                f'convolution between them.')
        if loss.adversarial:
            discriminators[name] = MODELS.build({**discriminator,
                                                 'in_channels': target})
    return connectors, discriminators


def features_seen(losses: nn.ModuleDict, features: Features) -> Features:
    """Returns the input of each discriminator, by adversarial loss."""
    return {name: loss.seen(features[name])
            for name, loss in losses.items() if loss.adversarial}


def discriminator_step(losses: nn.ModuleDict, discriminator: nn.Module,
                       student: Features, target: Features,
                       wrapper: Any) -> dict[str, Tensor]:
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
    log: dict[str, Tensor] = {}
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


def _scores_log(name: str, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Returns the mean scores, and the accuracy with a threshold of 0.5."""
    accuracy = ((real > 0.5).float().mean() + (fake <= 0.5).float().mean()) / 2
    return {f'd_real_{name}': real.float().mean(),
            f'd_fake_{name}': fake.float().mean(), f'd_accuracy_{name}': accuracy}
