"""Distilling a teacher with a dictionary into a student without one."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.files.checkpoints import copy_matching, copy_trained_weights
from fdsr.models.forward import run_backbone
from fdsr.models.losses.restoration import loss_weights as resolve_weights
from fdsr.models.losses.restoration import restoration_losses
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.models.restorers.discriminator_step import (
    discriminator_step,
    features_seen,
)
from fdsr.models.restorers.per_tap import build_per_tap, probe_features
from fdsr.models.restorers.prediction import predict, with_bicubic
from fdsr.models.restorers.teacher import build_teacher
from fdsr.models.taps import FeatureTaps
from fdsr.registry import MODELS
from fdsr.utils.configs import plain
from fdsr.utils.modules import unwrap

Features = Dict[str, Tensor]


@MODELS.register_module()
class DictionaryDistiller(BaseModel):
    """Adversarial distillation of features (Jo et al. 2021, equations 1 and 2).

    A step runs the frozen teacher, updates the student on pixel, perceptual and
    feature losses, then updates the discriminator on the features of the same
    forwards. Where teacher and student share a frozen encoder it runs once; where no
    loss asks for the teacher's features the teacher does not run.

    Args:
        student: config of the backbone to train.
        teacher: a checkpoint's path, or ``dict(checkpoint=PATH, expect=CONFIG)``:
            the file's backbone has to agree with each value of ``expect``. See
            ``teacher.build_teacher``.
        feature_losses: configs of ``FeatureLoss``; default: the adversarial one.
        discriminator: config of D but for ``in_channels``; each adversarial loss gets
            one of its own.
        pixel_loss, perceptual_loss: called with (sr, gt) in [0, 1].
        loss_weights: a preset (``dfdnet``, ``literal``) or weights by term.
        init_from: a checkpoint that the student starts from, or ``'teacher'`` for the
            teacher's own decoder.
        frozen_features: folders of stores, see ``fdsr.models.feature_cache``: what
            stands in them is not computed again; with the teacher's features it is not
            run at all.
        test_cfg: ``report``, which of ``student``, ``teacher`` and ``bicubic`` are
            tested (the student alone).
        data_preprocessor: default: ``FacePreprocessor``.
    """

    def __init__(self, student: dict, teacher: Union[str, dict],
                 feature_losses: Optional[Sequence[dict]] = None,
                 discriminator: Optional[dict] = None,
                 pixel_loss: Optional[dict] = None,
                 perceptual_loss: Optional[dict] = None,
                 loss_weights: Union[str, Dict[str, float]] = 'dfdnet',
                 init_from: Optional[str] = None,
                 frozen_features: Sequence[str] = (), test_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        # The teacher comes first: whatever is wrong with it shows before training.
        self.teacher, teacher_config = build_teacher(teacher)
        self.student = MODELS.build(student)
        self.backbone_configs = {'student': plain(student), 'teacher': teacher_config}
        self.report = tuple((test_cfg or {}).get('report', ('student', )))
        self._start_student(init_from)
        bake_parametrisations(self.teacher)
        self.pixel_loss = MODELS.build(pixel_loss or dict(type='fdsr.PixelLoss'))
        self.perceptual_loss = (
            None if perceptual_loss is None else MODELS.build(perceptual_loss))
        self.loss_weights = resolve_weights(loss_weights)
        losses = feature_losses or [dict(type='fdsr.AdversarialFeatureLoss')]
        self.feature_losses = nn.ModuleDict(
            _named([MODELS.build(loss) for loss in losses]))
        shapes = probe_features(self.teacher, self.student, self.feature_losses)
        self.connectors, self.discriminator = build_per_tap(
            self.feature_losses, shapes,
            discriminator or dict(type='fdsr.FeatureDiscriminator'))
        self.shares_encoder = _share_encoder(self.teacher, self.student)
        self.frozen = FrozenFeatures(
            frozen_features, self.student, self.perceptual_loss,
            self.teacher.external_weights.sha256)
        self.iteration = 0  # set by the loop, so that a resumed run goes on rightly

    def _start_student(self, init_from: Optional[str]) -> None:
        if init_from == 'teacher':
            copy_matching('the teacher', self.teacher.state_dict(), self.student)
        elif init_from is not None:
            copy_trained_weights(init_from, self.student)

    def train(self, mode: bool = True) -> 'DictionaryDistiller':
        """Sets the mode of everything but the teacher, which stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def trainable_groups(self) -> Dict[str, List[nn.Module]]:
        """What each optimiser updates, by its name in the config."""
        groups = {'student': [self.student, self.connectors]}
        if len(unwrap(self.discriminator)) > 0:
            groups['discriminator'] = [self.discriminator]
        return groups

    def train_step(self, data: Dict[str, Any],
                   optim_wrapper: OptimWrapperDict) -> Dict[str, Tensor]:
        """One iteration: the student's step, then the discriminator's.

        Args:
            data: a batch of the data loader.
            optim_wrapper: with ``student`` and, for adversarial losses,
                ``discriminator``.

        Returns:
            Every loss by its name, and what ``discriminator_step`` logs.
        """
        data = self.data_preprocessor(data, True)
        lr, samples = data['inputs'], data['data_samples']
        wrapper = optim_wrapper['student']
        with wrapper.optim_context(self.student):
            encoded, theirs = self.teacher_forward(lr, samples)
            losses, ours = self.student_losses(lr, samples, encoded, theirs)
            loss, log = self.parse_losses(losses)
        wrapper.update_params(loss)
        if len(unwrap(self.discriminator)) > 0:
            log.update(self.discriminator_step(
                ours, theirs, optim_wrapper['discriminator']))
        return log

    @torch.no_grad()
    def teacher_forward(self, lr: Tensor, samples: DataSample
                        ) -> Tuple[Optional[List[Tensor]], Features]:
        """The encoder's maps if they are shared, and what the student is held against.

        That is the teacher's feature, or GT, by loss. Where no loss asks for a feature
        of the teacher, or all of them are at hand, it does not run.
        """
        taps = {name: loss.teacher_tap for name, loss in self.feature_losses.items()}
        wanted = {tap for tap in taps.values() if tap is not None}
        encoded = self._encode(lr, samples) if self.shares_encoder else None
        found: Any = self.frozen.teacher(samples, lr) or {}
        if not wanted <= set(found):
            with FeatureTaps(self.teacher, wanted) as found:
                run_backbone(self.teacher, lr, samples, encoded)
        return encoded, {name: samples.gt_img if tap is None else found[tap]
                         for name, tap in taps.items()}

    def _encode(self, lr: Tensor, samples: DataSample) -> List[Tensor]:
        known = self.frozen.encoded(samples, lr)
        return self.teacher.encode(lr) if known is None else known

    def student_losses(self, lr: Tensor, samples: DataSample,
                       encoded: Optional[List[Tensor]], theirs: Features
                       ) -> Tuple[Dict[str, Tensor], Features]:
        """Equation (1), and the student's features by loss."""
        taps = {name: loss.student_tap for name, loss in self.feature_losses.items()}
        with FeatureTaps(self.student, taps.values()) as tapped:
            sr = run_backbone(self.student, lr, samples, encoded)
        ours = {name: tapped[tap] for name, tap in taps.items()}
        if len(unwrap(self.connectors)) > 0:
            ours.update(self.connectors(ours))
        losses = restoration_losses(
            [sr], samples.gt_img, self.pixel_loss, self.perceptual_loss,
            self.loss_weights, self.frozen.perceptual(samples))
        # D is not trained here: its bare module, with its parameters held still.
        judge = unwrap(self.discriminator).requires_grad_(False)
        scores = judge(features_seen(self.feature_losses, ours))
        judge.requires_grad_(True)
        for name, loss in self.feature_losses.items():
            weight = loss.weight_at(self.iteration)
            if loss.adversarial:
                value = loss.student_loss(scores[name])
                weight *= self.loss_weights['adversarial']
            else:
                value = loss(ours[name], theirs[name])
            losses[f'loss_{name}'] = weight * value
        return losses, ours

    def discriminator_step(self, ours: Features, theirs: Features,
                           wrapper: Any) -> Dict[str, Tensor]:
        """Equation (2), one update of D; returns what to log."""
        return discriminator_step(self.feature_losses, self.discriminator, ours, theirs,
                                  wrapper)

    def reported_networks(self) -> Dict[str, nn.Module]:
        """The backbones to test; the student by its moving average if it has one."""
        networks = {'student': getattr(self, 'student_ema', self.student),
                    'teacher': self.teacher}
        return {name: unwrap(networks[name]) for name in self.report
                if name in networks}

    def val_step(self, data: Dict[str, Any]) -> List[DataSample]:
        """Predictions of a batch, see ``prediction.predict``."""
        data = self.data_preprocessor(data, False)
        networks = self.reported_networks()
        return predict(with_bicubic(networks, data, 'bicubic' in self.report), data)

    test_step = val_step

    def forward(self, inputs: Tensor, data_samples: Optional[DataSample] = None,
                mode: str = 'tensor', **kwargs: Any) -> Tensor:
        """The student's SR of (B, 3, h, w); training goes through ``train_step``.

        Raises:
            ValueError: another mode than ``tensor``.
        """
        if mode != 'tensor':
            raise ValueError(
                f"DictionaryDistiller.forward has the mode 'tensor' alone, found "
                f'{mode!r}; training and testing go through train_step and test_step.')
        return run_backbone(self.student, inputs, data_samples)


def _named(losses: Sequence[nn.Module]) -> Dict[str, nn.Module]:
    """Keys for the log: the losses' names, numbered where one comes twice."""
    named: Dict[str, nn.Module] = {}
    for loss in losses:
        taken = sum(key.rstrip('0123456789') == loss.name for key in named)
        named[loss.name + (str(taken + 1) if taken else '')] = loss
    return named


def _share_encoder(teacher: nn.Module, student: nn.Module) -> bool:
    return hasattr(student, 'shares_encoding_with') and (
        student.shares_encoding_with(teacher))
