"""A teacher that has no landmarks but those it finds itself."""

from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.geometry.components import template_boxes
from fdsr.landmarks.base import LandmarkDetector
from fdsr.landmarks.choosing import default_detector
from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.contract import Backbone
from fdsr.models.images import to_uint8
from fdsr.registry import LANDMARKS


class DetectedBoxes(Backbone):
    """Gives a backbone the boxes of landmarks found on the up-sampled LR picture.

    So a teacher is measured as it would be used: HR and its landmarks are not available
    then. Where no face is found, it gets the boxes of FFHQ's template, and that is
    counted.

    Args:
        network: a backbone that is called with boxes, and has ``size`` and
            ``eye_share``.
        detector: config of a ``LandmarkDetector``; default: ``default_detector()``,
            chosen when it is first needed.

    Attributes:
        num_seen: pictures so far.
        num_not_found: of them, those in which no face was found.

    Raises:
        ValueError: the backbone takes no boxes.
    """

    def __init__(self, network: nn.Module, detector: Optional[dict] = None) -> None:
        super().__init__()
        if not network.uses_boxes:
            raise ValueError(
                f'{type(network).__name__} takes no boxes, so landmarks are of no use '
                'to it: leave them out of its settings.')
        self.network = network
        self.scale, self.size = network.scale, network.size
        self.eye_share = network.eye_share
        self.description: Dict[str, Any] = dict(detector or {})
        self._detector: Optional[LandmarkDetector] = None
        self.num_seen = self.num_not_found = 0
        if detector:
            self.load_detector()

    def load_detector(self) -> LandmarkDetector:
        """Returns the detector, which is built at the first call.

        Raises:
            ImportError: none is given, and none is available.
        """
        if self._detector is None:
            self.description = self.description or default_detector()
            self._detector = LANDMARKS.build(self.description)
        return self._detector

    def template(self) -> np.ndarray:
        """(4, 4) boxes of the template."""
        return template_boxes(self.network.size, self.network.eye_share)

    @torch.no_grad()
    def pictures(self, lr: Tensor) -> List[np.ndarray]:
        """(B, 3, h, w) RGB in [0, 1] to what the detector sees: (S, S, 3) uint8."""
        up_sampled = to_uint8(Bicubic(self.network.size // lr.shape[-1])(lr))
        return list(up_sampled.permute(0, 2, 3, 1).cpu().numpy())

    def find_boxes(self, lr: Tensor) -> Tuple[Tensor, List[bool]]:
        """Boxes of (B, 3, h, w) RGB in [0, 1].

        Returns:
            (B, 4, 4) in SR pixels, and whether each face was found.
        """
        size = self.network.size
        faces = self.load_detector().detect(self.pictures(lr))
        self.num_seen += len(faces)
        self.num_not_found += faces.count(None)
        boxes = np.stack([self.template() if face is None else
                          face.component_boxes(size) for face in faces])
        return torch.from_numpy(boxes).to(lr.device), [
            face is not None for face in faces]

    def forward(self, lr: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1] to (B, 3, H, W), not clamped."""
        return self.network(lr, self.find_boxes(lr)[0])

    def caption(self) -> str:
        """How many faces were not found, for beside the numbers."""
        return (f'boxes from landmarks found on the up-sampled LR picture by '
                f'{self.description["type"]}; not found, boxes of the template: '
                f'{self.num_not_found} of {self.num_seen}')
