"""Horizontal flip, component boxes and bicubic downsampling."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from PIL import Image

from fdsr.geometry.components import boxes_from_five_points, flip_boxes
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


@TRANSFORMS.register_module()
class TintFace(BaseTransform):
    """Changes the colours of the face at random, before LR is made.

    HR changes too, so that a network learns to keep a colour cast or a grey image as it
    is. It must precede :class:`DownsampleToLR`.

    Args:
        gain: Range of the factor of each channel.
        prob: Probability of a colour cast, sampled from ``np.random``.
        grey: Probability of a greyscale image.

    Raises:
        ValueError: ``gain`` is not a range of positive numbers, or a probability is not
            in [0, 1].
    """

    def __init__(self, gain: tuple[float, float] = (0.8, 1.2), prob: float = 0.2,
                 grey: float = 0.05) -> None:
        if not 0 < gain[0] <= gain[1]:
            raise ValueError(f'gain is {gain}, expected (low, high) with 0 < low <= '
                             'high.')
        for name, value in (('prob', prob), ('grey', grey)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}, expected a number between 0 and '
                                 '1.')
        self.gain, self.prob, self.grey = tuple(gain), prob, grey

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes ``img``.

        Raises:
            ValueError: An LR image exists already.
        """
        if 'gt' in results:
            raise ValueError('TintFace would change the LR image alone: put it before '
                             'DownsampleToLR in the pipeline.')
        cast, grey = np.random.random(2) < (self.prob, self.grey)
        gains = np.random.uniform(*self.gain, 3)
        if cast:
            tinted = results['img'] * gains
            results['img'] = np.clip(np.rint(tinted), 0, 255).astype(np.uint8)
        if grey:
            luma = np.asarray(Image.fromarray(results['img']).convert('L'))
            results['img'] = np.repeat(luma[..., None], 3, axis=2)
        return results

    def protocol(self) -> str:
        """Describes the change for the protocol of a result."""
        return (f'colour cast, channels times {self.gain[0]:g} to {self.gain[1]:g} (in '
                f'{self.prob:g} of the images), greyscale (in {self.grey:g})')

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.protocol()})'


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


@TRANSFORMS.register_module()
class PackLandmarks(BaseTransform):
    """Makes the five landmarks a float32 tensor (5, 2), x then y in HR pixels.

    Add ``landmarks`` to the ``data_keys`` of mmagic's PackInputs, which would treat an
    array as an image.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Converts ``landmarks``."""
        results['landmarks'] = torch.from_numpy(
            np.array(results['landmarks'], np.float32))
        return results


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
