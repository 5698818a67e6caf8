"""Transform that adds the boxes of the facial components."""
from __future__ import annotations

from typing import Any

import torch
from mmcv.transforms import BaseTransform

from fdsr.geometry.components import boxes_from_five_points
from fdsr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ComponentBoxes(BaseTransform):
    """Adds component boxes computed from the five landmarks.

    ``boxes`` is a float32 tensor (4, 4): left eye, right eye, nose, mouth, each x1, y1,
    x2, y2 in pixels of the HR image. It is not an array, because mmagic's PackInputs
    treats arrays as images and would return (1, 4, 4).
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds ``boxes``."""
        hr = results.get('gt', results['img'])
        boxes = boxes_from_five_points(results['landmarks'], hr.shape[0])
        results['boxes'] = torch.from_numpy(boxes)
        return results
