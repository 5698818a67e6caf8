"""Training of one backbone with pixel and perceptual losses."""

from typing import Any, Mapping, Sequence

from mmagic.models.base_models.base_edit_model import BaseEditModel
from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.models.contract import add_traits
from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.files.checkpoints import copy_trained_weights
from fdsr.models.forward import run_all_steps, run_backbone
from fdsr.models.losses.restoration import build_losses, restoration_losses
from fdsr.models.restorers.prediction import (
    BICUBIC,
    predict,
    reported_names,
)
from fdsr.registry import MODELS
from fdsr.utils.configs import plain

#: DFDNet's weight on images in [-1, 1]; the paper gives none.
DEFAULT_PIXEL_LOSS = dict(type='fdsr.PixelLoss', loss_weight=100.0)


@MODELS.register_module()
class FaceRestorer(BaseEditModel):
    """Trains any backbone: the teacher, the student without distillation, baselines.

    For a recurrent backbone the pixel loss is summed over all steps.

    Args:
        generator: config of the backbone.
        pixel_loss: config of a loss that is called with (sr, gt) in [0, 1]; default:
            ``PixelLoss`` with a weight of 100.
        perceptual_loss: the same; default: none.
        extra_losses: dict of configs of further such losses; default: none.
        init_from: checkpoint whose trained weights initialize the backbone; it must
            have each trained parameter with the same name and shape.
        frozen_features: folders of cached features, see ``fdsr.models.feature_cache``.
        test_cfg: ``dict(report=[...])``: the name under which the backbone is reported
            (default ``generator``), and ``bicubic`` for bicubic upsampling beside it.
        train_cfg, init_cfg, data_preprocessor: as for mmagic's ``BaseEditModel``.
    """

    def __init__(self, generator: dict, pixel_loss: dict | None = None,
                 perceptual_loss: dict | None = None,
                 extra_losses: Mapping[str, dict] | None = None,
                 init_from: str | None = None,
                 frozen_features: Sequence[str] = (), test_cfg: dict | None = None,
                 train_cfg: dict | None = None, init_cfg: dict | None = None,
                 data_preprocessor: dict | None = None) -> None:
        super().__init__(
            generator, pixel_loss or DEFAULT_PIXEL_LOSS, train_cfg, test_cfg,
            init_cfg, data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        add_traits(self.generator)
        self.backbone_configs = {'generator': plain(generator)}
        self.report = reported_names(test_cfg, 'generator')
        labels = [name for name in self.report if name != BICUBIC]
        if len(labels) > 1:
            raise ValueError(
                f'test_cfg.report: FaceRestorer has one network, found the names '
                f'{", ".join(labels)}.')
        self.label = labels[0] if labels else None
        self.perceptual_loss = (
            None if perceptual_loss is None else MODELS.build(perceptual_loss))
        self.extra_losses = build_losses(extra_losses)
        if init_from is not None:
            copy_trained_weights(init_from, self.generator)
        self.frozen = FrozenFeatures(
            frozen_features, self.generator, self.perceptual_loss)

    def forward_tensor(self, inputs: Tensor, data_samples: DataSample | None = None,
                       **kwargs: Any) -> Tensor:
        """Maps (B, 3, h, w) in [0, 1] to (B, 3, H, W), not clamped."""
        return run_backbone(self.generator, inputs, data_samples)

    def forward_train(self, inputs: Tensor, data_samples: DataSample | None = None,
                      **kwargs: Any) -> dict[str, Tensor]:
        """Returns the weighted losses of a batch."""
        encoded = self.frozen.encoded(data_samples, inputs)
        outputs = run_all_steps(self.generator, inputs, data_samples, encoded)
        return restoration_losses(outputs, data_samples.gt_img, self.pixel_loss,
                                  self.perceptual_loss,
                                  self.frozen.perceptual(data_samples),
                                  self.extra_losses)

    def reported_networks(self) -> dict[str, nn.Module]:
        """Returns the backbone, or its moving average if there is one, by its label."""
        network = getattr(self, 'generator_ema', self.generator)
        return {self.label: network} if self.label else {}

    def val_step(self, data: dict[str, Any]) -> list[DataSample]:
        """Returns the predictions for a batch, see ``prediction.predict``."""
        data = self.data_preprocessor(data, False)
        return predict(self.reported_networks(), data, BICUBIC in self.report)

    test_step = val_step
