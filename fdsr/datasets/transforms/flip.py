"""Horizontal flip."""
from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from fdsr.geometry.components import flip_boxes
from fdsr.registry import TRANSFORMS

# landmarks in the order image-left first, after mirroring
_MIRRORED_POINTS = [1, 0, 2, 4, 3]


@TRANSFORMS.register_module()
class FlipFace(BaseTransform):
    """Flips image, landmarks and boxes horizontally.

    Eyes and mouth corners are swapped to keep the image-left one first. It must precede
    :class:`DownsampleToLR`.

    Args:
        prob: Probability of a flip, sampled from ``np.random``.

    Raises:
        ValueError: ``prob`` is not in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}, expected a number between 0 and 1.')
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flips the face with the probability ``prob`` and stores it as ``mirrored``.

        Raises:
            ValueError: An LR image exists already.
        """
        if 'gt' in results:
            raise ValueError('FlipFace would flip the LR image alone: put it before '
                             'DownsampleToLR in the pipeline.')
        results['mirrored'] = np.random.random() < self.prob
        if not results['mirrored']:
            return results
        # coordinates refer to the centres of pixels, so the last one is side - 1
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
