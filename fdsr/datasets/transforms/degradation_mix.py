"""Steps of a mix of degradations: a random list of steps, a random kernel."""
from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np
from PIL import Image

from fdsr.datasets.transforms.degradation_steps import DegradationStep, pil_resize
from fdsr.registry import TRANSFORMS

_PIL_KERNELS = dict(bicubic=Image.BICUBIC, bilinear=Image.BILINEAR, box=Image.BOX,
                    lanczos=Image.LANCZOS)


def build_steps(configs: Sequence[dict | DegradationStep]) -> list[DegradationStep]:
    """Builds steps from their configs.

    Raises:
        ValueError: One is not a DegradationStep.
    """
    steps = [TRANSFORMS.build(dict(step)) if isinstance(step, dict) else step
             for step in configs]
    for step in steps:
        if not isinstance(step, DegradationStep):
            raise ValueError(f'{type(step).__name__} is not a DegradationStep.')
    return steps


@TRANSFORMS.register_module()
class ResizeFace(DegradationStep):
    """Resizes to a fixed side with a random kernel.

    Args:
        side: Side of the result in pixels.
        kernels: Names of the kernels, sampled uniformly: PIL's ``bicubic``,
            ``bilinear``, ``box`` and ``lanczos``, all anti-aliased, and OpenCV's
            ``area``.
        prob: Probability of the operation.

    Raises:
        ValueError: ``side`` is below 1, or a kernel is unknown.
    """

    resizes = True

    def __init__(self, side: int, kernels: Sequence[str] = ('bicubic',),
                 prob: float = 1.0) -> None:
        super().__init__(prob)
        if side != int(side) or side < 1:
            raise ValueError(f'side is {side}, expected an integer >= 1.')
        if not kernels or set(kernels) - {*_PIL_KERNELS, 'area'}:
            raise ValueError(f'kernels is {kernels}, expected a list of '
                             f'{", ".join([*_PIL_KERNELS, "area"])}.')
        self.side, self.kernels = int(side), list(kernels)

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Resizes and clamps the overshoot."""
        kernel = self.kernels[draws.randint(len(self.kernels))]
        size = self.side, self.side
        if kernel == 'area':
            return cv2.resize(img, size, interpolation=cv2.INTER_AREA)
        return pil_resize(img, size, _PIL_KERNELS[kernel])

    def words(self) -> str:
        """Describes side and kernels."""
        return f'resized to {self.side} px ({", ".join(self.kernels)})'


@TRANSFORMS.register_module()
class OneOf(DegradationStep):
    """Applies one of several lists of steps.

    Args:
        choices: Lists of configs of :class:`DegradationStep`; a list may be empty.
        weights: Relative probability of each list; default: equal.
        prob: Probability of the operation.

    Raises:
        ValueError: ``weights`` does not have one number >= 0 per list, or an item is
            not a DegradationStep.
    """

    resizes = True

    def __init__(self, choices: Sequence[Sequence[dict | DegradationStep]],
                 weights: Sequence[float] | None = None, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.choices = [build_steps(choice) for choice in choices]
        weights = [1.0] * len(choices) if weights is None else list(weights)
        if len(weights) != len(choices) or not choices or min(weights) < 0 or not any(
                weights):
            raise ValueError(f'weights is {weights}, expected a number >= 0 for each '
                             f'of {len(choices)} lists of steps.')
        self.shares = [weight / sum(weights) for weight in weights]

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Applies the steps of a random list."""
        for step in self.choices[draws.choice(len(self.choices), p=self.shares)]:
            img = step.apply(img, draws)
        return img

    def words(self) -> str:
        """Describes the lists and their probabilities."""
        return ' or '.join(
            f'[{", ".join(step.protocol() for step in steps) or "nothing"}] '
            f'({share:.2g})' for steps, share in zip(self.choices, self.shares))
