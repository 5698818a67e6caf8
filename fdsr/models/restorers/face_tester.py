"""Finished backbones under test, without anything that trained them."""

from typing import Any, Dict, List, Optional

from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch import nn

from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.files.checkpoints import load_backbone
from fdsr.models.restorers.prediction import predict, with_bicubic
from fdsr.registry import MODELS


def build_network(settings: dict) -> nn.Module:
    """One of ``FaceTester``'s networks, in eval mode."""
    if 'checkpoint' not in settings:
        return MODELS.build(settings).eval()
    network = load_backbone(settings['checkpoint'], settings.get('name'))
    if settings.get('landmarks'):
        network = DetectedBoxes(network, settings['landmarks']).eval()
    return network


@MODELS.register_module()
class FaceTester(BaseModel):
    """Reports one or more backbones in a test loop.

    Args:
        networks: what to test by the name that it is reported under:
            ``dict(checkpoint=PATH, name=WHICH)``, or a backbone's config. With
            ``landmarks``, the config of a detector, beside the checkpoint, a teacher
            takes its boxes from landmarks found on the up-sampled LR picture.
        bicubic: report plain up-sampling beside them.
        data_preprocessor: default: ``FacePreprocessor``.
    """

    def __init__(self, networks: Dict[str, dict], bicubic: bool = False,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor or dict(type='fdsr.FacePreprocessor'))
        self.names = list(networks)
        # in a list, for names may hold what a module's name may not
        self.modules_tested = nn.ModuleList(map(build_network, networks.values()))
        self.requires_grad_(False)
        self.bicubic = bicubic

    @property
    def networks(self) -> Dict[str, nn.Module]:
        """What is tested, by name."""
        return dict(zip(self.names, self.modules_tested))

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Not for training.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError('FaceTester only tests; train with FaceRestorer.')

    def test_step(self, data: Dict[str, Any]) -> List[DataSample]:
        """Predictions of a batch, see ``prediction.predict``."""
        data = self.data_preprocessor(data, False)
        networks = with_bicubic(self.networks, data, self.bicubic)
        return predict(networks, data)

    val_step = test_step
