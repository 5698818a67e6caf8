"""Bicubic downsampling from HR to LR."""
from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from fdsr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DownsampleToLR(BaseTransform):
    """Creates the LR image with PIL's anti-aliased bicubic (a = -0.5).

    ``gt`` becomes the HR image (uint8, RGB), ``img`` the LR image, rounded to uint8.

    Args:
        scale: HR side over LR side.

    Raises:
        ValueError: ``scale`` is not a positive integer.
    """

    def __init__(self, scale: int = 8) -> None:
        if scale != int(scale) or scale < 1:
            raise ValueError(f'scale is {scale}, expected an integer >= 1.')
        self.scale = int(scale)

    def lr_size(self, hr: np.ndarray) -> tuple[int, int]:
        """Returns width and height of LR.

        Raises:
            ValueError: A side of the HR image is not divisible by ``scale``.
        """
        height, width = hr.shape[:2]
        if height % self.scale or width % self.scale:
            raise ValueError(f'The HR image has {width}x{height} px, which '
                             f'scale={self.scale} does not divide: change the data '
                             'set\'s size or the scale.')
        return width // self.scale, height // self.scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Moves ``img`` to ``gt`` and downsamples it.

        Raises:
            ValueError: A side of the HR image is not divisible by ``scale``.
        """
        hr = results['img']
        small = self.lr_size(hr)
        results['gt'] = hr
        results['img'] = np.array(Image.fromarray(hr).resize(small, Image.BICUBIC))
        return results

    def protocol(self) -> str:
        """Describes the resize kernel for the protocol of a result."""
        return (f'LR = HR / {self.scale} by PIL bicubic (a = -0.5, anti-aliased), '
                'rounded to uint8')

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scale={self.scale})'
