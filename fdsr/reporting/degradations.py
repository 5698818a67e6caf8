"""Comparison grids of image degradations."""

from collections.abc import Sequence

import numpy as np

from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.datasets.transforms import BlindDegradation, DownsampleToLR
from fdsr.datasets.transforms.degradation_steps import random_state
from fdsr.reporting.grid import make_grid


def degradation_sheet(recipes: Sequence[str], faces: int = 3, size: int = 192,
                      scale: int = 8, seed: int = 0) -> np.ndarray:
    """Renders synthetic faces and degrades them with several recipes.

    Args:
        recipes: Names of ``steps`` of ``BlindDegradation``.
        faces: Number of rows; each is another face with its own random draws.
        size: Side of HR, a multiple of ``scale``.
        scale: Side of HR divided by side of LR.
        seed: Seed of the degradations.

    Returns:
        (H, W, 3) uint8 RGB with the columns HR, bicubic LR and, for each recipe, the
        degraded image and its LR.

    Raises:
        ValueError: A recipe is unknown, or ``scale`` does not divide ``size``.
    """
    dataset = SyntheticFacesDataset(faces, size=size)
    bicubic = DownsampleToLR(scale)
    blind = [BlindDegradation(recipe, scale, seed) for recipe in recipes]
    rows: list[list[np.ndarray]] = []
    for number in range(faces):
        face = dataset[number]
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
