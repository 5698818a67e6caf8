"""Inspection of a dictionary: usage of the atoms and coverage of features."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.encoder import Encoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    channel_statistics,
)
from fdsr.preparation.dictionary.features import Slot, component_features

#: Values of atoms converted to floats at a time.
_CHUNK_VALUES = 2**24
#: Relative energy below which a feature counts as constant.
_FLAT = 1e-10
#: Side of crops in pixels.
CROP_SIDE = 128


@dataclass(frozen=True)
class SlotReport:
    """Report of one component at one level.

    Args:
        component, level: the slot.
        num_atoms: K.
        num_faces: N, the number of matched faces.
        usage: (K) number of matches of each atom, with the sum N.
        flat: number of faces with a constant feature, e.g. from a box of one pixel.
            They are excluded from the coverage.
        dead: number of atoms without a match.
        effective: exp of the entropy of the usage, the effective number of atoms
            between 1 and K.
        coverage: {K': coverage error} of the K' most used atoms, K' = K, K/2, K/4 …
    """

    component: str
    level: int
    num_atoms: int
    num_faces: int
    usage: list[int]
    flat: int
    dead: int
    effective: float
    coverage: dict[int, float]


@dataclass(frozen=True)
class Matches:
    """Matches of the atoms of one component and level with N faces.

    Args:
        chosen: (N,) the atom chosen by the teacher.
        errors: (N, K) fp32, the error of each atom, see ``atom_errors``.
    """

    chosen: np.ndarray
    errors: np.ndarray

    def usage(self) -> np.ndarray:
        """Returns the number of matches of each atom, (K,)."""
        return np.bincount(self.chosen, minlength=self.errors.shape[1])

    def nearest_faces(self, atom: int, count: int) -> list[int]:
        """Returns the faces with the smallest error of an atom, the best first."""
        order = np.argsort(self.errors[:, atom], kind='stable')
        return order[:count].tolist()

    def report(self, component: str, level: int) -> SlotReport:
        """Returns the report of these matches."""
        usage = self.usage()
        shares = usage[usage > 0] / len(self.chosen)
        effective = math.exp(-float((shares * np.log(shares)).sum()))
        return SlotReport(
            component, level, len(usage), len(self.chosen), usage.tolist(),
            int((~self._structured()).sum()), int((usage == 0).sum()),
            round(effective, 2), self._coverage(usage))

    def _structured(self) -> np.ndarray:
        """Returns a mask (N,) of faces whose feature is not constant."""
        return self.errors.max(axis=1) > 0

    def _coverage(self, usage: np.ndarray) -> dict[int, float]:
        """Returns the mean error of the best atom among the K' most used ones."""
        order, coverage, kept = np.argsort(-usage, kind='stable'), {}, len(usage)
        errors = self.errors[self._structured()]
        while kept:
            best = errors[:, order[:kept]].min(axis=1)
            coverage[kept] = round(float(best.mean()), 4) if len(best) else 0.0
            kept //= 2
        return coverage


def atom_errors(dictionary: ComponentDictionary, component: str, level: int,
                feature: Tensor) -> Tensor:
    """Computes the relative distance of each restyled atom from each feature.

    It is ‖F − Re-D_k‖ / ‖F − μ(F)‖ with the normalised atom N_k after AdaIN,
    Re-D_k = σ(F)·N_k + μ(F): 0 if the atom equals the feature, 1 if it is no better
    than the mean of the feature, about √2 if it is uncorrelated.

    Args:
        dictionary: the dictionary.
        component, level: the slot.
        feature: (B, C, s, s).

    Returns:
        (B, K) fp32; 0 for a feature that is constant except for rounding.
    """
    feature = feature.float()
    mean, deviation = channel_statistics(feature, dictionary.spec.unbiased)
    centred = feature - mean
    energy = centred.flatten(1).square().sum(dim=1, keepdim=True)
    query, weights = (deviation * centred).flatten(1), deviation.flatten(1)**2
    atoms = dictionary.atoms(component, level)
    rows = max(1, _CHUNK_VALUES // atoms[0].numel())
    errors = []
    for chunk in atoms.split(rows):
        chunk = chunk.float()
        squares = chunk.square().sum(dim=(-2, -1))
        cross = query @ chunk.flatten(1).T
        errors.append(energy - 2 * cross + weights @ squares.T)
    flat = energy <= _FLAT * feature.flatten(1).square().sum(dim=1, keepdim=True)
    # the smallest positive number, because 0 marks a flat feature
    squared = torch.cat(errors, dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return (squared / energy.masked_fill(flat, 1)).sqrt().masked_fill(flat, 0)


@torch.no_grad()
def match_faces(encoder: Encoder, dictionary: ComponentDictionary,
                faces: Iterable[tuple[Tensor, Tensor]], device: str = 'cpu'
                ) -> dict[Slot, Matches]:
    """Matches faces with the atoms of a dictionary.

    One error per atom is stored for each face: 32 KiB at K = 512.

    Args:
        encoder: the encoder of the dictionary.
        dictionary: the dictionary.
        faces: batches of (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes.
        device: device of encoder and dictionary, which are moved there.

    Raises:
        ValueError: ``faces`` is empty.
    """
    encoder, dictionary = encoder.eval().to(device), dictionary.to(device)
    slots = dictionary.spec.slots()
    chosen, errors = ({slot: [] for slot in slots} for _ in range(2))
    for images, boxes in faces:
        for slot, feature in component_features(
                encoder, dictionary.spec.sides, images.to(device), boxes.to(device)):
            chosen[slot].append(dictionary.match(*slot, feature).cpu())
            errors[slot].append(atom_errors(dictionary, *slot, feature).cpu())
    if not chosen[slots[0]]:
        raise ValueError('No face to match: the dataset has no usable face.')
    return {slot: Matches(torch.cat(chosen[slot]).numpy(),
                          torch.cat(errors[slot]).numpy()) for slot in slots}


def crops_of(faces: Iterable[tuple[Tensor, Tensor]],
             selected: dict[Slot, Iterable[int]]) -> dict[Slot, dict[int, np.ndarray]]:
    """Cuts components out of faces.

    Args:
        faces: the matched faces in the same order.
        selected: numbers of faces for each component and level.

    Returns:
        The crops by slot and number, uint8 RGB of ``CROP_SIDE`` by PIL's bicubic,
        clipped at the border of the image.
    """
    crops: dict[Slot, dict[int, np.ndarray]] = {slot: {} for slot in selected}
    first = 0
    for images, boxes in faces:
        for slot, numbers in selected.items():
            box = boxes[:, COMPONENTS.index(slot[0])]
            for number in {*numbers} & {*range(first, first + len(images))}:
                crops[slot][number] = _crop(images[number - first], box[number - first])
        first += len(images)
    return crops


def _crop(image: Tensor, box: Tensor) -> np.ndarray:
    side = image.shape[-1]
    x1, y1, x2, y2 = (int(value) for value in box.floor().clamp(0, side))
    x1, y1 = min(x1, side - 1), min(y1, side - 1)
    crop = image[:, y1:max(y2, y1 + 1), x1:max(x2, x1 + 1)]
    pixels = (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return np.asarray(Image.fromarray(pixels).resize(
        (CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC))
