"""A wrapper that detects the component boxes of a backbone in the LR image."""

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
    """Computes a backbone's boxes from landmarks detected in the upsampled LR image.

    This evaluates a teacher under deployment conditions, where the HR image and its
    landmarks are not available. If no face is detected, the boxes of the FFHQ template
    are used and the image is counted in ``num_not_found``.

    Args:
        network: a backbone with ``uses_boxes``, ``size`` and ``eye_share``.
        detector: config of a ``LandmarkDetector``; default: ``default_detector()``,
            called on first use.

    Attributes:
        num_seen: number of images processed so far.
        num_not_found: number of these images in which no face was detected.

    Raises:
        ValueError: the backbone does not use boxes, or has no size.
    """

    def __init__(self, network: nn.Module, detector: Optional[dict] = None) -> None:
        super().__init__()
        if not network.uses_boxes:
            raise ValueError(
                f'{type(network).__name__} does not use boxes, so it cannot use a '
                'landmark detector: remove the detector from its settings.')
        if network.size is None:
            raise ValueError(
                f'{type(network).__name__} has no size, so the position of a face in '
                'its images is unknown: save it with its size and eye_share.')
        self.network = network
        self.scale, self.size = network.scale, network.size
        self.eye_share = network.eye_share
        self.description: Dict[str, Any] = dict(detector or {})
        self._detector: Optional[LandmarkDetector] = None
        self.num_seen = self.num_not_found = 0
        if detector:
            self.load_detector()

    def load_detector(self) -> LandmarkDetector:
        """Returns the detector; the first call builds it.

        Raises:
            ImportError: no detector is configured and none is installed.
        """
        if self._detector is None:
            self.description = self.description or default_detector()
            self._detector = LANDMARKS.build(self.description)
        return self._detector

    def template(self) -> np.ndarray:
        """Returns the boxes of the template, (4, 4) in SR pixels."""
        return template_boxes(self.network.size, self.network.eye_share)

    @torch.no_grad()
    def images(self, lr: Tensor) -> List[np.ndarray]:
        """Maps (B, 3, h, w) RGB in [0, 1] to detector inputs, (size, size, 3) uint8."""
        upsampled = to_uint8(Bicubic(self.network.size // lr.shape[-1])(lr))
        return list(upsampled.permute(0, 2, 3, 1).cpu().numpy())

    def find_boxes(self, lr: Tensor) -> Tuple[Tensor, List[bool]]:
        """Returns the component boxes of a batch.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].

        Returns:
            Boxes (B, 4, 4) in SR pixels, and for each image whether a face was
            detected.
        """
        size = self.network.size
        faces = self.load_detector().detect(self.images(lr))
        self.num_seen += len(faces)
        self.num_not_found += faces.count(None)
        boxes = np.stack([self.template() if face is None else
                          face.component_boxes(size) for face in faces])
        return torch.from_numpy(boxes).to(lr.device), [
            face is not None for face in faces]

    def forward(self, lr: Tensor) -> Tensor:
        """Maps (B, 3, h, w) RGB in [0, 1] to (B, 3, H, W), not clamped."""
        return self.network(lr, self.find_boxes(lr)[0])

    def caption(self) -> str:
        """Returns a note for result tables: the detector and its number of failures."""
        return (f'boxes from landmarks detected in the upsampled LR image by '
                f'{self.description["type"]}; no face detected, template boxes used: '
                f'{self.num_not_found} of {self.num_seen}')
