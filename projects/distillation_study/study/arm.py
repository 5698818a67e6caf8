"""One student of a joint run, with its losses."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from fdsr.models.contract import build_backbone
from fdsr.models.losses.restoration import restoration_losses
from fdsr.models.restorers.feature_distiller import (
    ATOMS,
    FeatureDistiller,
    build_atom_loss,
    named_losses,
)
from fdsr.models.restorers.per_tap import (
    build_per_tap,
    discriminator_step,
    probe_features,
)
from fdsr.registry import MODELS

OUTPUT, RANDOM_ATOMS = ':output', ':random atoms'
Features = Mapping[str, Tensor]
Points = Sequence[tuple[int, float]]


class Arm(FeatureDistiller):
    """One student with its losses; :class:`JointStudents` runs the teacher.

    Args:
        student: config of the backbone to train.
        teacher: the network whose features the losses need. It is not stored.
        shared: the modules ``pixel_loss``, ``perceptual_loss`` and ``extra_losses``.
        feature_losses: configs of ``FeatureLoss``; default: none, the plain student.
        discriminator: as for ``FeatureDistiller``.
        pixel_loss: config that replaces the shared pixel loss.
        target: what pixel, perceptual and extra losses compare SR with: ``'gt'``;
            ``'labelled'``, GT where ``has_hr`` of a face is True and the teacher's
            output elsewhere; or (iteration, share) points, the share of the teacher's
            output in its mean with GT, interpolated linearly (ECO, AAAI 2024).
        atom_loss: as for ``FeatureDistiller``.
        random_atoms: True for a control that predicts random atoms in place of the
            dictionary's.

    Raises:
        ValueError: unknown target.
    """

    def __init__(self, student: dict, teacher: nn.Module,
                 shared: Mapping[str, nn.Module | None],
                 feature_losses: Sequence[dict] = (), discriminator: dict | None = None,
                 pixel_loss: dict | None = None, target: str | Points = 'gt',
                 atom_loss: dict | None = None, random_atoms: bool = False) -> None:
        BaseModel.__init__(self)
        if isinstance(target, str) and target not in ('gt', 'labelled'):
            raise ValueError("target: expected 'gt', 'labelled' or (iteration, share) "
                             f'points, found {target!r}.')
        self.target = target
        self.student = build_backbone(student)
        with torch.random.fork_rng(devices=[]):
            # What follows does not move the random state, so that a run draws the same
            # windows whatever its first arm is.
            self._build_losses(teacher, shared, feature_losses, discriminator,
                               pixel_loss, atom_loss)
        self.atoms = RANDOM_ATOMS if random_atoms else ATOMS

    def _build_losses(self, teacher: nn.Module, shared: Mapping[str, nn.Module | None],
                      feature_losses: Sequence[dict], discriminator: dict | None,
                      pixel_loss: dict | None, atom_loss: dict | None) -> None:
        self.pixel_loss = (shared['pixel_loss'] if pixel_loss is None else
                           MODELS.build(pixel_loss))
        self.perceptual_loss = shared['perceptual_loss']
        self.extra_losses = shared['extra_losses']
        self.feature_losses = nn.ModuleDict(
            named_losses([MODELS.build(loss) for loss in feature_losses]))
        shapes = probe_features(
            teacher, self.student, self.feature_losses) if feature_losses else {}
        for name, loss in self.feature_losses.items():
            if hasattr(loss, 'seen_channels'):  # its discriminator sees other features
                shapes[name] = (torch.Size([loss.seen_channels, 1, 1]),) * 2
        self.connectors, self.discriminator = build_per_tap(
            self.feature_losses, shapes,
            discriminator or dict(type='fdsr.FeatureDiscriminator'))
        self.atom_loss = None if atom_loss is None else build_atom_loss(
            atom_loss, self.student, teacher)

    def train(self, mode: bool = True) -> 'Arm':
        """Sets the mode; the teacher is not part of this module."""
        return BaseModel.train(self, mode)

    def teacher_taps(self) -> set[str]:
        """Returns the taps of the teacher that this arm needs."""
        taps = {loss.teacher_tap for loss in self.feature_losses.values()} - {None}
        return taps | ({OUTPUT} if self.target != 'gt' else set())

    def student_step(self, lr: Tensor, samples: DataSample, teacher: Features,
                     iteration: int, wrapper: OptimWrapper
                     ) -> tuple[dict[str, Tensor], Features]:
        """Updates the student and returns its log and its features by loss."""
        targets = {name: samples.gt_img if loss.teacher_tap is None else
                   teacher.get(loss.teacher_tap)
                   for name, loss in self.feature_losses.items()}
        if self.atom_loss is not None:
            targets[ATOMS] = teacher[self.atoms]
        compared = samples.new()
        compared.gt_img = self._target(samples, teacher, iteration)
        with wrapper.optim_context(self.student):
            values, features = self.student_losses(
                lr, compared, None, targets, iteration)
            loss, log = self.parse_losses(values)
        wrapper.update_params(loss)
        return log, features

    def discriminator_step(self, features: Features, teacher: Features, gt: Tensor,
                           wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Updates the discriminators and returns their log."""
        real = {name: gt if loss.teacher_tap is None else teacher[loss.teacher_tap]
                for name, loss in self.feature_losses.items()}
        return discriminator_step(
            self.feature_losses, self.discriminator, features, real, wrapper)

    def supervised_losses(self, outputs: Sequence[Tensor], samples: DataSample
                          ) -> dict[str, Tensor]:
        """Returns the losses between the student's images and the target."""
        return restoration_losses(outputs, samples.gt_img, self.pixel_loss,
                                  self.perceptual_loss, None, self.extra_losses)

    def _target(self, samples: DataSample, teacher: Features, iteration: int) -> Tensor:
        if self.target == 'gt':
            return samples.gt_img
        output = teacher[OUTPUT].clamp(0, 1)
        if self.target == 'labelled':
            has_hr = torch.tensor(samples.metainfo['has_hr'], device=output.device)
            return torch.where(has_hr[:, None, None, None], samples.gt_img, output)
        share = float(np.interp(iteration, *zip(*self.target)))
        return torch.lerp(samples.gt_img, output, share)
