"""One backbone, trained by pixel and perceptual losses."""

from typing import Any, Dict, List, Optional, Sequence, Union

from mmagic.models.base_models.base_edit_model import BaseEditModel
from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.files.checkpoints import copy_trained_weights
from fdsr.models.forward import boxes_of, run_backbone, takes_boxes
from fdsr.models.losses.restoration import loss_weights as resolve_weights
from fdsr.models.losses.restoration import restoration_losses
from fdsr.models.restorers.prediction import predict, with_bicubic
from fdsr.registry import MODELS
from fdsr.utils.configs import plain


@MODELS.register_module()
class FaceRestorer(BaseEditModel):
    """Trains any backbone: the teacher, the student without distillation, baselines.

    A backbone with ``forward_steps`` has the pixel loss summed over its steps.

    Args:
        generator: config of the backbone.
        pixel_loss: called with (sr, gt) in [0, 1].
        perceptual_loss: the same; default: none.
        loss_weights: a preset (``dfdnet``, ``literal``) or weights by term.
        init_from: a checkpoint whose trained weights the backbone starts from, where
            names and shapes agree; each that is trained has to be found.
        frozen_features: folders of stores, see ``fdsr.models.feature_cache``: what
            stands in them is not computed again.
        test_cfg: ``name``, under which the backbone is reported (``generator``), and
            ``bicubic``, whether plain up-sampling is reported beside it (False).
        train_cfg, init_cfg, data_preprocessor: as in mmagic's ``BaseEditModel``.
    """

    def __init__(self, generator: dict, pixel_loss: Optional[dict] = None,
                 perceptual_loss: Optional[dict] = None,
                 loss_weights: Union[str, Dict[str, float]] = 'dfdnet',
                 init_from: Optional[str] = None,
                 frozen_features: Sequence[str] = (), test_cfg: Optional[dict] = None,
                 train_cfg: Optional[dict] = None, init_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(
            generator, pixel_loss or dict(type='fdsr.PixelLoss'), train_cfg, test_cfg,
            init_cfg, data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        self.backbone_configs = {'generator': plain(generator)}
        self.perceptual_loss = (
            None if perceptual_loss is None else MODELS.build(perceptual_loss))
        self.loss_weights = resolve_weights(loss_weights)
        if init_from is not None:
            copy_trained_weights(init_from, self.generator)
        self.frozen = FrozenFeatures(
            frozen_features, self.generator, self.perceptual_loss)

    def forward_tensor(self, inputs: Tensor,
                       data_samples: Optional[DataSample] = None,
                       **kwargs: Any) -> Tensor:
        """(B, 3, h, w) in [0, 1] to (B, 3, H, W), not clamped."""
        return run_backbone(self.generator, inputs, data_samples)

    def forward_train(self, inputs: Tensor,
                      data_samples: Optional[DataSample] = None,
                      **kwargs: Any) -> Dict[str, Tensor]:
        """The weighted losses of a batch."""
        if hasattr(self.generator, 'forward_steps'):
            boxes = ([boxes_of(self.generator, data_samples)]
                     if takes_boxes(self.generator) else [])
            outputs = self.generator.forward_steps(inputs, *boxes)
        else:
            encoded = self.frozen.encoded(data_samples, inputs)
            outputs = [run_backbone(self.generator, inputs, data_samples, encoded)]
        return restoration_losses(
            outputs, data_samples.gt_img, self.pixel_loss, self.perceptual_loss,
            self.loss_weights, self.frozen.perceptual(data_samples))

    def reported_networks(self) -> Dict[str, nn.Module]:
        """The backbone, by its moving average if there is one, under its name."""
        network = getattr(self, 'generator_ema', self.generator)
        return {(self.test_cfg or {}).get('name', 'generator'): network}

    def val_step(self, data: Dict[str, Any]) -> List[DataSample]:
        """Predictions of a batch, see ``prediction.predict``."""
        data = self.data_preprocessor(data, False)
        bicubic = (self.test_cfg or {}).get('bicubic', False)
        return predict(with_bicubic(self.reported_networks(), data, bicubic), data)

    test_step = val_step
