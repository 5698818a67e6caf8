"""Testing of finished backbones."""

from typing import Any

from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch import nn

from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.contract import build_backbone
from fdsr.models.files.checkpoints import load_backbone
from fdsr.models.restorers.prediction import predict
from fdsr.registry import MODELS


def build_network(settings: dict) -> nn.Module:
    """Builds one of the networks of ``FaceTester``, in eval mode."""
    if 'checkpoint' not in settings:
        return build_backbone(settings).eval()
    network = load_backbone(settings['checkpoint'], settings.get('name'))
    if settings.get('landmarks'):
        network = DetectedBoxes(network, settings['landmarks']).eval()
    return network


@MODELS.register_module()
class FaceTester(BaseModel):
    """Reports one or more backbones in a test loop.

    Args:
        networks: the networks by the name under which they are reported:
            ``dict(checkpoint=PATH, name=WHICH)`` or the config of a backbone. With
            ``landmarks``, the config of a detector, a teacher takes its boxes from
            landmarks that are detected in the upsampled LR image.
        bicubic: also report bicubic upsampling.
        data_preprocessor: default: ``FacePreprocessor``.
    """

    def __init__(self, networks: dict[str, dict], bicubic: bool = False,
                 data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        self.names = list(networks)
        # a list, because the name of a module must not contain a dot
        self.modules_tested = nn.ModuleList(map(build_network, networks.values()))
        self.requires_grad_(False)
        self.bicubic = bicubic

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The tested networks by name."""
        return dict(zip(self.names, self.modules_tested))

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Raises an error: this model does not train.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError('FaceTester only tests; train with FaceRestorer.')

    def test_step(self, data: dict[str, Any]) -> list[DataSample]:
        """Returns the predictions for a batch, see ``prediction.predict``."""
        return predict(self.networks, self.data_preprocessor(data, False), self.bicubic)

    val_step = test_step
