"""Mirroring a face."""
from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from fdsr.geometry.components import flip_boxes
from fdsr.registry import TRANSFORMS

# mirrored, the right eye is the image's left one; so with the mouth's corners
_MIRRORED_POINTS = [1, 0, 2, 4, 3]


@TRANSFORMS.register_module()
class FlipFace(BaseTransform):
    """Mirror image, landmarks and boxes from left to right.

    What is on the image's left stays first: the eyes' landmarks and boxes, and the
    mouth's corners, change places. Comes before :class:`DownsampleToLR`.

    Args:
        prob: Probability of a flip, drawn from ``np.random``.

    Raises:
        ValueError: ``prob`` is not in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}, expected a number between 0 and 1.')
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip or not; ``mirrored`` tells which.

        Raises:
            ValueError: There is an LR image already.
        """
        if 'gt' in results:
            raise ValueError('FlipFace would flip the LR image alone: put it before '
                             'DownsampleToLR in the pipeline.')
        results['mirrored'] = np.random.random() < self.prob
        if not results['mirrored']:
            return results
        # pixels are counted at their centres, so the last one is at side - 1
        last = results['img'].shape[1] - 1
        results['img'] = np.ascontiguousarray(results['img'][:, ::-1])
        landmarks = results['landmarks'][_MIRRORED_POINTS]
        landmarks[:, 0] = last - landmarks[:, 0]
        results['landmarks'] = landmarks
        if 'boxes' in results:
            boxes = results['boxes']
            results['boxes'] = boxes.new_tensor(flip_boxes(boxes.numpy(), last))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'
