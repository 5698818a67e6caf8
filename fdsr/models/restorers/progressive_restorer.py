"""Training of a progressive backbone with attention to landmarks."""

from pathlib import Path
from typing import Any

import torch
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from fdsr.models.heatmaps import render_heatmaps
from fdsr.models.losses.restoration import restoration_losses
from fdsr.models.resampling import downsample
from fdsr.models.restorers.face_restorer import FaceRestorer
from fdsr.models.restorers.teacher import build_teacher
from fdsr.registry import MODELS
from fdsr.utils.modules import unwrap

#: Side of heatmaps that are rendered from the samples' landmarks, as a share of GT's.
_RENDERED = 4


@MODELS.register_module()
class ProgressiveRestorer(FaceRestorer):
    """Trains ``ProgressiveFSR`` step by step (Kim et al., BMVC 2019).

    One iteration updates the network with the image of its current step, and then the
    discriminator. GT is downsampled to that image. ``ProgressiveHook`` sets the step.

    Args:
        generator: config of the backbone, with ``set_progress`` and
            ``forward(lr, unfinished=True)``, see ``ProgressiveFSR``.
        landmarks: the frozen landmark network, a self-describing file (see
            ``HeatmapNet``), or another form of ``teacher.build_teacher``. Default:
            heatmaps are rendered from the samples' own landmarks.
        attention_loss: config of a loss that is called with (sr, gt, heatmaps);
            default: none.
        adversarial_loss: config of ``WassersteinLoss``; default: none.
        discriminator: config of the discriminator; default:
            ``ProgressiveDiscriminator`` of the backbone's scale.
        **kwargs: arguments of ``FaceRestorer`` other than ``frozen_features``; the
            pixel, perceptual and extra losses apply to the current step.

    Raises:
        FileNotFoundError: the landmark network's file does not exist.
        ValueError: the backbone is not progressive, or ``frozen_features`` are given.
    """

    def __init__(self, generator: dict, landmarks: str | dict | None = None,
                 attention_loss: dict | None = None,
                 adversarial_loss: dict | None = None,
                 discriminator: dict | None = None, **kwargs: Any) -> None:
        if kwargs.get('frozen_features'):
            raise ValueError(
                'ProgressiveRestorer: frozen_features are features of GT at full size, '
                'but the losses compare smaller images. Remove frozen_features.')
        super().__init__(generator, **kwargs)
        if not hasattr(self.generator, 'set_progress'):
            raise ValueError(
                f'ProgressiveRestorer: {type(self.generator).__name__} has no steps; '
                'expected a backbone such as fdsr.ProgressiveFSR. Train others with '
                'fdsr.FaceRestorer.')
        self.attention_loss, self.adversarial_loss = (
            None if loss is None else MODELS.build(loss)
            for loss in (attention_loss, adversarial_loss))
        self.discriminator = None if adversarial_loss is None else MODELS.build(
            {'type': 'fdsr.ProgressiveDiscriminator', 'scale': self.generator.scale,
             **(discriminator or {})})
        self.landmarks = None
        if landmarks is not None:
            _check_file(landmarks)
            self.landmarks, _ = build_teacher(landmarks)

    def train(self, mode: bool = True) -> 'ProgressiveRestorer':
        """Sets the mode of every module but the landmark network."""
        super().train(mode)
        if self.landmarks is not None:
            self.landmarks.eval()
        return self

    def trainable_groups(self) -> dict[str, list[nn.Module]]:
        """Returns the modules of each optimizer, by its name in the config."""
        groups = {'generator': [self.generator], 'discriminator': [self.discriminator]}
        return {name: modules for name, modules in groups.items()
                if modules != [None]}

    def set_progress(self, step: int, alpha: float = 1.0) -> None:
        """Sets the step of all networks, and that of the next checkpoint.

        Args:
            step: last step in use, from 1.
            alpha: weight of its image in [0, 1].
        """
        for name in ('generator', 'generator_ema', 'discriminator'):
            network = getattr(self, name, None)
            if network is not None:
                unwrap(network).set_progress(step, alpha)
        self.backbone_configs['generator'].update(step=step, alpha=float(alpha))

    def train_step(self, data: dict[str, Any],
                   optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Runs one iteration: the network's update, then the discriminator's.

        Returns:
            Every loss by name, ``step`` and ``alpha``.
        """
        data = self.data_preprocessor(data, True)
        lr, samples = data['inputs'], data['data_samples']
        wrapper = optim_wrapper['generator']
        with wrapper.optim_context(self.generator):
            sr = self.generator(lr, unfinished=True)
            gt = downsample(samples.gt_img, sr.shape[-1])
            loss, log = self.parse_losses(self.losses(sr, gt, samples))
        wrapper.update_params(loss)
        if self.discriminator is not None:
            log.update(self.discriminator_step(
                sr.detach(), gt, optim_wrapper['discriminator']))
        progress = unwrap(self.generator)
        log.update(step=torch.tensor(float(progress.step)),
                   alpha=torch.tensor(progress.alpha))
        return log

    def losses(self, sr: Tensor, gt: Tensor, samples: DataSample) -> dict[str, Tensor]:
        """Returns the network's weighted losses.

        Args:
            sr: image of the current step, (B, 3, H, W) RGB in [0, 1], not clamped.
            gt: GT of the same size.
            samples: with ``gt_img`` at full size.
        """
        losses = restoration_losses([sr], gt, self.pixel_loss, self.perceptual_loss,
                                    extra_losses=self.extra_losses)
        if self.attention_loss is not None:
            losses['loss_attention'] = self.attention_loss(
                sr, gt, self.heatmaps(samples))
        if self.adversarial_loss is not None:
            # not updated here: its parameters need no gradient, and it runs outside
            # its distributed wrapper
            discriminator = unwrap(self.discriminator).requires_grad_(False)
            losses['loss_adversarial'] = self.adversarial_loss(
                discriminator(2 * sr - 1))
            discriminator.requires_grad_(True)
        return losses

    @torch.no_grad()
    def heatmaps(self, samples: DataSample) -> Tensor:
        """Returns heatmaps (B, K, h, h) of GT.

        Raises:
            ValueError: the landmark network was made for another size, or there is
                none and the samples have no landmarks.
        """
        gt = samples.gt_img
        if self.landmarks is None:
            points = samples.get('landmarks')
            if points is None:
                raise ValueError(
                    'The attention loss needs landmarks, but the samples have none. '
                    "Set model.landmarks to a landmark network's file, or add "
                    "dict(type='fdsr.PackLandmarks') to the dataset's pipeline and "
                    "data_keys=['landmarks'] to mmagic.PackInputs.")
            return render_heatmaps(points, gt.shape[-1], gt.shape[-1] // _RENDERED)
        size = getattr(self.landmarks, 'size', None)
        if size not in (None, gt.shape[-1]):
            raise ValueError(
                f'The landmark network was made for faces of {size} px, found GT of '
                f'{gt.shape[-1]} px. Train one at this size (configs/extra/'
                'landmark_student.py) and set model.landmarks to its file.')
        return self.landmarks(gt)

    def discriminator_step(self, sr: Tensor, gt: Tensor,
                           wrapper: Any) -> dict[str, Tensor]:
        """Updates the discriminator once.

        Args:
            sr: (B, 3, H, W) RGB in [0, 1], detached.
            gt: the same.
            wrapper: the discriminator's optim wrapper.

        Returns:
            The loss ``loss_d``, the penalty and the estimated distance.
        """
        real, fake = 2 * gt - 1, 2 * sr - 1
        with wrapper.optim_context(self.discriminator):
            scores = self.discriminator(torch.cat([real, fake]))
            loss = self.adversarial_loss.discriminator_loss(*scores.chunk(2))
            penalty = self.adversarial_loss.penalty(
                unwrap(self.discriminator), real, fake)
        wrapper.update_params(loss + penalty)
        return dict(loss_d=(loss + penalty).detach(), d_penalty=penalty.detach(),
                    d_distance=-loss.detach())


def _check_file(landmarks: str | dict) -> None:
    path = landmarks if isinstance(landmarks, str) else landmarks.get('checkpoint')
    if path is not None and not Path(path).expanduser().is_file():
        raise FileNotFoundError(
            f'The landmark network {path} does not exist: correct model.landmarks, or '
            'train one with configs/extra/landmark_student.py (at reduced size: '
            'configs/reduced/landmark_student.py).')
