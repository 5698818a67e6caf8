"""What degradations make of a face, side by side."""

from typing import List, Sequence

import numpy as np

from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.datasets.transforms import BlindDegradation, DownsampleToLR
from fdsr.datasets.transforms.degradation_steps import random_state
from fdsr.reporting.grid import make_grid


def degradation_sheet(recipes: Sequence[str], faces: int = 3, size: int = 192,
                      scale: int = 8, seed: int = 0) -> np.ndarray:
    """Draws faces and degrades them.

    Args:
        recipes: names that ``BlindDegradation`` takes as ``steps``.
        faces: rows, each another drawn face and other draws.
        size: side of HR, a multiple of ``scale``.
        scale: HR side over LR side.
        seed: of the degradations.

    Returns:
        (H, W, 3) uint8 RGB: HR, its bicubic LR, and for each recipe the degraded
        picture and the LR made of it.

    Raises:
        ValueError: an unknown recipe, or ``scale`` does not divide ``size``.
    """
    drawn = SyntheticFacesDataset(faces, size=size)
    bicubic = DownsampleToLR(scale)
    blind = [BlindDegradation(recipe, scale, seed) for recipe in recipes]
    rows: List[List[np.ndarray]] = []
    for number in range(faces):
        face = drawn[number]
        row = [face['img'], bicubic(dict(face))['img']]
        for degradation in blind:
            draws = random_state(face['name'], seed)
            row += [degradation.degrade(face['img'], draws),
                    degradation(dict(face))['img']]
        rows.append(row)
    labels = ['HR', f'bicubic LR (1/{scale})']
    for recipe in recipes:
        labels += [recipe, f'LR of {recipe}']
    return make_grid(rows, labels)
