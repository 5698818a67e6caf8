"""Blind degradation from HR to LR: blur, downsampling, noise, compression."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from PIL import Image

from fdsr.datasets.transforms.basic import DownsampleToLR
from fdsr.datasets.transforms.degradation_mix import build_steps
from fdsr.datasets.transforms.degradation_steps import (
    DegradationStep,
    random_state,
    to_uint8,
)
from fdsr.registry import TRANSFORMS

_DFDNET_BLUR = dict(
    type='fdsr.BlurFace', kinds=dict(iso=0.65, motion=0.35), sigma=(0.3, 2.0),
    size=(3, 35), length=(5.0, 21.0), reference=512)
#: Degradations by name; ``docs/data.md`` lists the sources of all values.
RECIPES: dict[str, list[dict[str, Any]]] = dict(
    dfdnet=[
        _DFDNET_BLUR,
        dict(type='fdsr.ShrinkFace', r=(1.0, 8.0)),
        dict(type='fdsr.AddNoise', sigma=(0.0, 15.0)),
        dict(type='fdsr.CompressJPEG', quality=(40, 80))
    ],
    dfdnet_release=[
        dict(_DFDNET_BLUR, prob=0.9),
        dict(type='fdsr.ShrinkFace', r=(2.0, 10.0), prob=0.95),
        dict(type='fdsr.AddNoise', sigma=(1.0, 10.0), prob=0.9),
        dict(type='fdsr.CompressJPEG', quality=(40, 80), prob=0.6)
    ],
    gfpgan=[
        dict(type='fdsr.BlurFace', kinds=dict(iso=0.5, aniso=0.5), sigma=(0.1, 10.0),
             size=41, reference=512),
        dict(type='fdsr.ShrinkFace', r=(0.8, 8.0), resample='bilinear'),
        dict(type='fdsr.AddNoise', sigma=(0.0, 20.0)),
        dict(type='fdsr.CompressJPEG', quality=(60, 100))
    ])


@TRANSFORMS.register_module()
class BlindDegradation(DownsampleToLR):
    """Applies several degradations to HR and resizes the result to LR.

    ``gt`` becomes the HR image (uint8, RGB), ``img`` the LR image. The degraded image
    is rounded to uint8 and resized to the LR size by PIL's bicubic. With ``scale=1``,
    LR is as large as HR, as in DFDNet and GFPGAN, for networks built with ``scale=1``.

    It replaces :class:`DownsampleToLR` in a pipeline and, without steps, equals it.

    Args:
        steps: Configs of :class:`DegradationStep`, or a name: ``dfdnet`` (the paper's
            ((I * k) ↓ r + n) JPEG), ``dfdnet_release`` (the authors' code) or
            ``gfpgan``.
        scale: HR side over LR side.
        seed: With a seed, the degradation of a face depends only on the seed and the
            name of the face, as a test needs. ``None``: it differs in each epoch and
            depends on the seed of the dataset.

    Raises:
        ValueError: The name is unknown, a step is not a DegradationStep, or ``scale``
            or ``seed`` is out of range.
    """

    def __init__(self, steps: str | Sequence[dict | DegradationStep] = 'dfdnet',
                 scale: int = 8, seed: int | None = None) -> None:
        super().__init__(scale)
        if isinstance(steps, str) and steps not in RECIPES:
            raise ValueError(f'steps is {steps!r}, expected a list of steps or one of '
                             f'{", ".join(RECIPES)}.')
        if seed is not None and (seed != int(seed) or seed < 0):
            raise ValueError(f'seed is {seed}, expected an integer >= 0 or None.')
        self.name = steps if isinstance(steps, str) else None
        configs = RECIPES[steps] if isinstance(steps, str) else steps
        self.steps = build_steps(configs)
        self.seed = seed

    @property
    def varies(self) -> bool:
        """True if the LR image of a face differs between epochs."""
        return self.seed is None and bool(self.steps)

    def degrade(self, hr: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Returns the degraded image before resizing to LR.

        Args:
            hr: (H, W, 3) uint8 RGB.
            draws: Source of all random numbers.

        Returns:
            (h, w, 3) uint8 RGB; its size depends on the steps.
        """
        img = hr.astype(np.float32)
        for step in self.steps:
            img = step.apply(img, draws)
        return to_uint8(img)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Moves ``img`` to ``gt`` and creates LR from it.

        Raises:
            ValueError: An LR image exists already, or a side of the HR image is not
                divisible by ``scale``.
        """
        if 'gt' in results:
            raise ValueError('An LR image exists already: BlindDegradation replaces '
                             'DownsampleToLR in the pipeline.')
        hr = results['img']
        size = self.lr_size(hr)
        degraded = self.degrade(hr, random_state(results.get('name', ''), self.seed))
        results['gt'] = hr
        results['img'] = np.array(Image.fromarray(degraded).resize(size, Image.BICUBIC))
        return results

    def protocol(self) -> str:
        """Describes the degradation for the protocol of a result."""
        steps = ', '.join(step.protocol() for step in self.steps) or 'none'
        drawn = ("from the data set's seed, epoch and index" if self.seed is None else
                 f"from seed {self.seed} and the face's name")
        return (f'degradation{f" {self.name}" if self.name else ""}: {steps}; drawn '
                f'{drawn}; LR = what is left, brought to HR / {self.scale} by PIL '
                'bicubic (a = -0.5, anti-aliased), rounded to uint8')

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.protocol()})'
