"""Several students trained at once, with one forward pass of their teacher."""

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from fdsr.engine.optim import AutocastOptimWrapper
from fdsr.models.contract import build_backbone
from fdsr.models.forward import run_backbone
from fdsr.models.losses.lpips_loss import LPIPSLoss
from fdsr.models.losses.restoration import build_losses
from fdsr.models.restorers.face_restorer import DEFAULT_PIXEL_LOSS
from fdsr.models.restorers.feature_distiller import ATOMS
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
from projects.distillation_study.study.arm import Arm, Features
from projects.distillation_study.study.losses import LastInputs

PEER = '_peer'


@MODELS.register_module()
class JointStudents(BaseModel):
    """Trains the arms of a study on the same batches with the same frozen teacher.

    Every arm has the same student, initial values and random numbers in its losses, and
    optimizers of its own. It learns what ``FeatureDistiller`` with the same losses
    learns; the teacher runs once per batch. Each student is a child, and a backbone in
    the checkpoint, under the name of its arm.

    Args:
        student: config of the backbone of all arms.
        teacher: as for ``FeatureDistiller``; None if no arm needs one.
        arms: arguments of :class:`Arm` by name of the arm. ``peer=True`` trains two
            students from different initial values, each with the other as its teacher
            (AFD, Chung et al., ICML 2020); the second is ``NAME_peer``, which is
            neither reported nor continued in the random numbers of other arms.
        pixel_loss, perceptual_loss, extra_losses: as for ``FeatureDistiller``, shared
            by all arms.
        test_cfg: ``dict(report=[...])``, a selection of the arms, ``teacher`` and
            ``bicubic``; default: all arms.
        data_preprocessor: default: ``FacePreprocessor``.

    Attributes:
        seconds: CPU seconds of each part of the last iteration, by name of the arm,
            ``teacher``, ``atoms of HR`` or ``random atoms``.

    Raises:
        ValueError: an arm needs a teacher and there is none, peers have other than
            adversarial losses, or ``test_cfg`` has an unknown name.
    """

    def __init__(self, student: dict, arms: Mapping[str, dict],
                 teacher: str | dict | None = None, pixel_loss: dict | None = None,
                 perceptual_loss: dict | None = None,
                 extra_losses: Mapping[str, dict] | None = None,
                 test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        self.teacher, teacher_config = (
            (None, None) if teacher is None else build_teacher(teacher))
        if self.teacher is not None:
            bake_teacher(self.teacher)
        self.pixel_loss = MODELS.build(pixel_loss or DEFAULT_PIXEL_LOSS)
        self.perceptual_loss = (
            None if perceptual_loss is None else MODELS.build(perceptual_loss))
        if isinstance(self.perceptual_loss, LPIPSLoss):  # few targets differ
            network = self.perceptual_loss.network
            network.net = LastInputs(network.net)
        self.extra_losses = build_losses(extra_losses)
        # in a plain dict: their parts are children, each once
        self.arms: dict[str, Arm] = self._built(student, arms)
        self.backbone_configs = dict.fromkeys(self.arms, plain(student))
        if self.teacher is not None:
            self.backbone_configs['teacher'] = teacher_config
        for name, arm in self.arms.items():
            self.add_module(name, arm.student)
        for part in ('connectors', 'discriminator', 'feature_losses', 'pixel_loss'):
            self.add_module(f'arms_{part}', nn.ModuleDict(
                {name: getattr(arm, part) for name, arm in self.arms.items()
                 if getattr(arm, part) is not self.pixel_loss}))
        self.arms_atom_loss = nn.ModuleDict({
            name: arm.atom_loss for name, arm in self.arms.items()
            if arm.atom_loss is not None})
        report = [name for name in self.arms if not self._is_peer(name)]
        self.report = reported_names(test_cfg or dict(report=report), 'student')
        self.reported_networks()  # raises for an unknown name
        self.seconds: dict[str, float] = {}
        self._matching: dict[str, nn.Module] = {}  # teachers by their atoms

    def _built(self, student: dict, arms: Mapping[str, dict]) -> dict[str, Arm]:
        shared = {name: getattr(self, name) for name in (
            'pixel_loss', 'perceptual_loss', 'extra_losses')}
        built, start, after = {}, torch.get_rng_state(), None
        for name, settings in arms.items():
            settings, teacher = dict(settings), self.teacher
            torch.set_rng_state(start)
            names = [name]
            if settings.pop('peer', False):
                names.append(name + PEER)
                with torch.random.fork_rng(devices=[]):
                    teacher = build_backbone(student)  # for the shapes of its features
            if teacher is None and settings:
                raise ValueError(f'arms.{name}: this arm needs a teacher, and there is '
                                 'none: set model.teacher.')
            for one in names:
                built[one] = Arm(student, teacher, shared, **settings)
                after = torch.get_rng_state() if after is None else after
            if len(names) > 1 and not all(
                    loss.adversarial and loss.teacher_tap == loss.student_tap
                    for loss in built[name].feature_losses.values()):
                raise ValueError(f'arms.{name}: students that are peers learn from '
                                 'adversarial losses with the same tap for both only.')
        if after is not None:
            torch.set_rng_state(after)
        return built

    def _is_peer(self, name: str) -> bool:
        return name.endswith(PEER) and name.removesuffix(PEER) in self.arms

    def _peer_of(self, name: str) -> Arm | None:
        """Returns the student that an arm learns from in place of the teacher."""
        return self.arms.get(
            name.removesuffix(PEER) if self._is_peer(name) else name + PEER)

    def train(self, mode: bool = True) -> 'JointStudents':
        """Sets the mode of every module but the teacher, which stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def trainable_groups(self) -> dict[str, list[nn.Module]]:
        """Returns the modules of each optimizer: ARM/student and ARM/discriminator."""
        return {f'{name}/{group}': modules for name, arm in self.arms.items()
                for group, modules in arm.trainable_groups().items()}

    def train_step(self, data: dict[str, Any],
                   optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Updates every arm once, and returns the log of each as ``ARM.NAME``."""
        data = self.data_preprocessor(data, True)
        lr, samples = data['inputs'], data['data_samples']
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        self.seconds = {}
        first = optim_wrapper[f'{next(iter(self.arms))}/student']
        if isinstance(first, AutocastOptimWrapper) and 'teacher' not in self.report:
            self._round_frozen_weights()
        with first.optim_context(self):  # for its autocast
            with self._timed('teacher'):
                seen = self.teacher_features(lr, samples)
            seen.update(self.atoms_of_hr(samples))
        start, after = torch.get_rng_state(), None
        logs, features = {}, {}
        for name, arm in self.arms.items():
            torch.set_rng_state(start)
            with self._timed(name):
                logs[name], features[name] = arm.student_step(
                    lr, samples, seen, iteration, optim_wrapper[f'{name}/student'])
            after = torch.get_rng_state() if after is None else after
        torch.set_rng_state(after)
        for name, arm in self.arms.items():
            if len(arm.discriminator) > 0:
                with self._timed(name):
                    real = seen if self._peer_of(name) is None else self._by_tap(
                        self._peer_of(name), features)
                    logs[name].update(arm.discriminator_step(
                        features[name], real, samples.gt_img,
                        optim_wrapper[f'{name}/discriminator']))
        return {f'{name}.{key}': value for name, log in logs.items()
                for key, value in log.items()}

    def _round_frozen_weights(self) -> None:
        """Rounds them to bf16 once, where autocast would do it in every step."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.requires_grad:
                module.weight.data = module.weight.data.bfloat16()

    def _by_tap(self, peer: Arm, features: Mapping[str, Features]) -> Features:
        """Returns a peer's detached features by tap."""
        found = next(features[name] for name, arm in self.arms.items() if arm is peer)
        return {loss.student_tap: found[name].detach()
                for name, loss in peer.feature_losses.items()}

    @torch.no_grad()
    def teacher_features(self, lr: Tensor, samples: DataSample) -> dict[str, Tensor]:
        """Returns the teacher's features by tap; it does not run if none is needed."""
        taps = set().union(*(arm.teacher_taps() for name, arm in self.arms.items()
                             if self._peer_of(name) is None))
        if not taps:
            return {}
        with FeatureTaps(self.teacher, taps) as tapped:
            run_backbone(self.teacher, lr, samples)
        return {tap: tapped[tap].float() for tap in taps}

    def atoms_of_hr(self, samples: DataSample) -> dict[str, Tensor]:
        """Returns the atoms that match HR, of the dictionaries that arms predict."""
        found = {}
        for atoms in {arm.atoms for arm in self.arms.values() if arm.atom_loss}:
            if atoms not in self._matching:
                self._matching[atoms] = (self.teacher if atoms == ATOMS else
                                         with_random_atoms(self.teacher))
            with self._timed('atoms of HR' if atoms == ATOMS else 'random atoms'):
                found[atoms] = self._matching[atoms].matching_atoms(
                    samples.gt_img, samples.boxes)
        return found

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.process_time()  # does not depend on the load of the machine
        yield
        self.seconds[name] = (
            self.seconds.get(name, 0.0) + time.process_time() - started)

    def reported_networks(self) -> dict[str, nn.Module]:
        """Returns the tested students by the name of their arm.

        Raises:
            ValueError: ``test_cfg`` has an unknown name.
        """
        networks = {name: arm.student for name, arm in self.arms.items()}
        if self.teacher is not None:
            networks['teacher'] = self.teacher
        return select_networks(self.report, networks)

    def val_step(self, data: dict[str, Any]) -> list[DataSample]:
        """Returns the predictions of every arm for a batch."""
        data = self.data_preprocessor(data, False)
        return predict(self.reported_networks(), data, BICUBIC in self.report)

    test_step = val_step

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Not supported: use ``train_step`` or ``test_step``."""
        raise TypeError('JointStudents has several networks: call train_step or '
                        'test_step.')


def with_random_atoms(teacher: nn.Module) -> nn.Module:
    """Returns a teacher with the same encoder and other, random atoms."""
    twin = copy.copy(teacher)
    dictionary = copy.deepcopy(teacher.dictionary).randomise_(seed=1)
    twin._modules = {**teacher._modules, 'dictionary': dictionary}
    return twin
