"""Boxes of the facial components."""
from __future__ import annotations

from typing import Any

import torch
from mmcv.transforms import BaseTransform

from fdsr.geometry.components import boxes_from_five_points
from fdsr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ComponentBoxes(BaseTransform):
    """Add the components' boxes from the five landmarks.

    Adds ``boxes``: float32 tensor (4, 4); left eye, right eye, nose, mouth, each x1,
    y1, x2, y2 in pixels of the HR image. A tensor, not an array: mmagic's PackInputs
    takes an array for an image and would make (1, 4, 4) of it.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``boxes`` from ``landmarks`` and the side of the HR image."""
        hr = results.get('gt', results['img'])
        boxes = boxes_from_five_points(results['landmarks'], hr.shape[0])
        results['boxes'] = torch.from_numpy(boxes)
        return results
