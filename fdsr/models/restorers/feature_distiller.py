"""Distillation of a teacher's features into a student."""

from typing import Any, Mapping, Sequence

import torch
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from fdsr.models.contract import build_backbone
from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.files.checkpoints import copy_matching, copy_trained_weights
from fdsr.models.forward import boxes_of, run_all_steps, run_backbone
from fdsr.models.losses.atoms import AtomLoss
from fdsr.models.losses.restoration import build_losses, restoration_losses
from fdsr.models.restorers.face_restorer import DEFAULT_PIXEL_LOSS
from fdsr.models.restorers.per_tap import (
    build_per_tap,
    discriminator_step,
    features_seen,
    probe,
    probe_features,
)
from fdsr.models.restorers.prediction import (
    BICUBIC,
    predict,
    reported_names,
    select_networks,
)
from fdsr.models.restorers.teacher import bake_teacher, build_teacher
from fdsr.models.taps import FeatureTaps
from fdsr.registry import MODELS
from fdsr.utils.configs import plain
from fdsr.utils.modules import unwrap

#: Key of the atoms among the targets.
ATOMS = ':atoms'
Features = Mapping[str, Tensor]


# Configs from before the name was changed use the second one.
@MODELS.register_module(name=['FeatureDistiller', 'DictionaryDistiller'])
class FeatureDistiller(BaseModel):
    """Trains a student with a frozen teacher (Jo et al. 2021, equations 1 and 2).

    One step runs the teacher, updates the student with pixel, perceptual and feature
    losses, and then updates the discriminators with the features of the same forward
    passes. If teacher and student share a frozen encoder it runs once. If no loss needs
    a feature of the teacher, the teacher does not run.

    Args:
        student: config of the backbone to train.
        teacher: path of a checkpoint, or a dict; see ``teacher.build_teacher``.
        feature_losses: configs of ``FeatureLoss``; default: the adversarial one.
            ``[]`` for none.
        discriminator: config of the discriminator without ``in_channels``; each
            adversarial loss has a discriminator of its own.
        pixel_loss: config of a loss that is called with (sr, gt) in [0, 1]; default:
            ``PixelLoss`` with a weight of 100.
        perceptual_loss: the same; default: none.
        extra_losses: dict of configs of further such losses; default: none.
        atom_loss: config of ``AtomLoss`` without the arguments that follow from the
            networks: the student also predicts which atoms of the teacher's dictionary
            match HR. Only the teacher's encoder and dictionary are used; they need no
            training. Default: none.
        init_from: checkpoint that initializes the student, or ``'teacher'`` for the
            teacher's own decoder.
        frozen_features: folders of cached features, see ``fdsr.models.feature_cache``;
            with the teacher's features the teacher does not run.
        test_cfg: ``dict(report=[...])``, a selection of ``student``, ``teacher`` and
            ``bicubic``; default: the student.
        data_preprocessor: default: ``FacePreprocessor``.
    """

    def __init__(self, student: dict, teacher: str | dict,
                 feature_losses: Sequence[dict] | None = None,
                 discriminator: dict | None = None, pixel_loss: dict | None = None,
                 perceptual_loss: dict | None = None,
                 extra_losses: Mapping[str, dict] | None = None,
                 atom_loss: dict | None = None, init_from: str | None = None,
                 frozen_features: Sequence[str] = (), test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        # The teacher is built first, so that its errors appear before anything else.
        self.teacher, teacher_config = build_teacher(teacher)
        self.student = build_backbone(student)
        self.backbone_configs = {'student': plain(student), 'teacher': teacher_config}
        self.report = reported_names(test_cfg, 'student')
        self.reported_networks()  # raises for an unknown name
        if init_from == 'teacher':
            copy_matching('the teacher', self.teacher.state_dict(), self.student)
        elif init_from is not None:
            copy_trained_weights(init_from, self.student)
        bake_teacher(self.teacher)
        self.pixel_loss = MODELS.build(pixel_loss or DEFAULT_PIXEL_LOSS)
        self.perceptual_loss = (
            None if perceptual_loss is None else MODELS.build(perceptual_loss))
        self.extra_losses = build_losses(extra_losses)
        losses = feature_losses if feature_losses is not None else [
            dict(type='fdsr.AdversarialFeatureLoss')]
        self.feature_losses = nn.ModuleDict(
            named_losses([MODELS.build(loss) for loss in losses]))
        shapes = probe_features(self.teacher, self.student, self.feature_losses)
        self.connectors, self.discriminator = build_per_tap(
            self.feature_losses, shapes,
            discriminator or dict(type='fdsr.FeatureDiscriminator'))
        self.atom_loss = None if atom_loss is None else build_atom_loss(
            atom_loss, self.student, self.teacher)
        self.shares_encoder = hasattr(self.student, 'shares_encoding_with') and (
            self.student.shares_encoding_with(self.teacher))
        self.frozen = FrozenFeatures(
            frozen_features, self.student, self.perceptual_loss,
            self.teacher.weights_sha256)

    def train(self, mode: bool = True) -> 'FeatureDistiller':
        """Sets the mode of every module but the teacher, which stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def trainable_groups(self) -> dict[str, list[nn.Module]]:
        """Returns the modules of each optimizer, by its name in the config."""
        groups = {'student': [self.student, self.connectors]}
        if self.atom_loss is not None:
            groups['student'].append(self.atom_loss)
        if len(unwrap(self.discriminator)) > 0:
            groups['discriminator'] = [self.discriminator]
        return groups

    def train_step(self, data: dict[str, Any],
                   optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Runs one iteration: the student's update, then the discriminators'.

        Args:
            data: a batch of the data loader.
            optim_wrapper: with ``student`` and, for adversarial losses,
                ``discriminator``.

        Returns:
            Every loss by name, and the log of ``discriminator_step``.
        """
        data = self.data_preprocessor(data, True)
        lr, samples = data['inputs'], data['data_samples']
        # set by mmengine's RuntimeInfoHook, also in a resumed run
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        wrapper = optim_wrapper['student']
        with wrapper.optim_context(self.student):
            encoded, targets = self.distillation_targets(lr, samples)
            losses, features = self.student_losses(
                lr, samples, encoded, targets, iteration)
            loss, log = self.parse_losses(losses)
        wrapper.update_params(loss)
        if len(unwrap(self.discriminator)) > 0:
            log.update(discriminator_step(
                self.feature_losses, self.discriminator, features, targets,
                optim_wrapper['discriminator']))
        return log

    @torch.no_grad()
    def distillation_targets(self, lr: Tensor, samples: DataSample
                             ) -> tuple[list[Tensor] | None, Features]:
        """Returns the encoder's maps, if they are shared, and the target of each loss.

        The target is a feature of the teacher, or GT. The teacher does not run if no
        loss needs a feature of it, or if all of them are cached. The key ``:atoms`` has
        the atoms that match HR, if they are predicted.

        Raises:
            ValueError: the samples have no boxes, and teacher or atoms need them.
        """
        taps = {name: loss.teacher_tap for name, loss in self.feature_losses.items()}
        needed = {tap for tap in taps.values() if tap is not None}
        encoded = self.frozen.encoded(samples, lr) if self.shares_encoder else None
        if self.shares_encoder and encoded is None:
            encoded = self.teacher.encode(lr)
        features: Any = self.frozen.teacher(samples, lr) or {}
        if not needed <= set(features):
            with FeatureTaps(self.teacher, needed) as features:
                run_backbone(self.teacher, lr, samples, encoded)
        targets = {name: samples.gt_img if tap is None else features[tap]
                   for name, tap in taps.items()}
        if self.atom_loss is not None:
            targets[ATOMS] = self.teacher.matching_atoms(
                samples.gt_img, boxes_of(self.teacher, samples))
        return encoded, targets

    def student_losses(self, lr: Tensor, samples: DataSample,
                       encoded: list[Tensor] | None, targets: Features,
                       iteration: int = 0) -> tuple[dict[str, Tensor], Features]:
        """Returns the terms of equation (1) and the student's features by loss.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            samples: with ``gt_img``, and ``boxes`` if the student uses them.
            encoded, targets: see ``distillation_targets``.
            iteration: selects the value of scheduled weights.
        """
        taps = {name: loss.student_tap for name, loss in self.feature_losses.items()}
        tap = [] if self.atom_loss is None else [unwrap(self.atom_loss).tap]
        with FeatureTaps(self.student, [*taps.values(), *tap]) as tapped:
            outputs = run_all_steps(self.student, lr, samples, encoded)
        features = {name: tapped[tap] for name, tap in taps.items()}
        if len(unwrap(self.connectors)) > 0:
            features.update(self.connectors(features))
        losses = self.supervised_losses(outputs, samples)
        # The discriminator is not updated here: its parameters need no gradient, and
        # it runs outside its distributed wrapper.
        discriminator = unwrap(self.discriminator).requires_grad_(False)
        scores = discriminator(features_seen(self.feature_losses, features))
        discriminator.requires_grad_(True)
        for name, loss in self.feature_losses.items():
            value = (loss.student_loss(scores[name]) if loss.adversarial else
                     loss(features[name], targets[name]))
            losses[f'loss_{name}'] = loss.weight_at(iteration) * value
        if self.atom_loss is not None:
            losses.update(self.atom_loss(
                tapped[tap[0]], samples.boxes, targets[ATOMS],
                samples.gt_img.shape[-1]))
        return losses, features

    def supervised_losses(self, outputs: Sequence[Tensor], samples: DataSample
                          ) -> dict[str, Tensor]:
        """Returns the losses between the student's images and GT."""
        return restoration_losses(outputs, samples.gt_img, self.pixel_loss,
                                  self.perceptual_loss, self.frozen.perceptual(samples),
                                  self.extra_losses)

    def reported_networks(self) -> dict[str, nn.Module]:
        """Returns the tested backbones; the student's moving average if there is one.

        Raises:
            ValueError: ``test_cfg`` has an unknown name.
        """
        networks = {'student': unwrap(getattr(self, 'student_ema', self.student)),
                    'teacher': unwrap(self.teacher)}
        return select_networks(self.report, networks)

    def val_step(self, data: dict[str, Any]) -> list[DataSample]:
        """Returns the predictions for a batch, see ``prediction.predict``."""
        data = self.data_preprocessor(data, False)
        return predict(self.reported_networks(), data, BICUBIC in self.report)

    test_step = val_step

    def forward(self, inputs: Tensor, data_samples: DataSample | None = None,
                mode: str = 'tensor', **kwargs: Any) -> Tensor:
        """Returns the student's SR of (B, 3, h, w); ``train_step`` trains.

        Raises:
            ValueError: ``mode`` is not ``tensor``.
        """
        if mode != 'tensor':
            raise ValueError(
                f"FeatureDistiller.forward supports only mode='tensor', found "
                f'{mode!r}; use train_step or test_step.')
        return run_backbone(self.student, inputs, data_samples)


def named_losses(losses: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Returns the losses by their names in the log, with a number for repeated ones."""
    named: dict[str, nn.Module] = {}
    for loss in losses:
        name, number = loss.name, 1
        while name in named:
            number += 1
            name = f'{loss.name}_{number}'
        named[name] = loss
    return named


def build_atom_loss(config: dict, student: nn.Module, teacher: nn.Module) -> AtomLoss:
    """Builds an ``AtomLoss`` for a student and the dictionary of a teacher.

    Raises:
        ValueError: ``tap`` is missing or unknown, the teacher has no dictionary, or its
            number of atoms differs between components or levels.
    """
    if not config.get('tap'):
        raise ValueError('model.atom_loss: set tap to a feature of the student, such '
                         f"as 'stages:input'; found {dict(config)}.")
    dictionary = getattr(teacher, 'dictionary', None)
    if dictionary is None or not hasattr(teacher, 'matching_atoms'):
        raise ValueError('model.atom_loss: expected a teacher with a dictionary, such '
                         f'as fdsr.DictionaryTeacher; found {type(teacher).__name__}.')
    counts = sorted({count for counts in dictionary.spec.num_atoms.values()
                     for count in counts})
    if len(counts) > 1 or counts == [0]:
        raise ValueError(
            'model.atom_loss: expected a dictionary with the same number of atoms for '
            f'every component and level; found {", ".join(map(str, counts))}.')
    (shape,), _ = probe(student, [config['tap']])
    return MODELS.build({
        **config, 'channels': shape[0], 'num_atoms': counts[0],
        'levels': len(dictionary.spec.channels)})
