"""What a finished dictionary is worth: which atoms are used, and what they cover."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterable, List, Tuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.encoder import FeatureEncoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    channel_statistics,
)
from fdsr.preparation.dictionary.features import Slot, component_features

#: Values of atoms turned into floats at a time.
_CHUNK_VALUES = 2**24
#: Share of a feature's squares that is rounding, if it is constant.
_FLAT = 1e-10
#: Side of crops in pixels.
CROP_SIDE = 128


@dataclass(frozen=True)
class SlotReport:
    """One component at one level.

    Args:
        component, level: which.
        num_atoms: K.
        num_faces: N that were matched.
        usage: (K) how often each atom was matched; N in all.
        flat: faces whose feature is constant, as of a box of one pixel: no atom says
            anything of them, and they do not count in the coverage.
        dead: atoms that no face was matched to.
        effective: exp of the usage's entropy: so many atoms, used equally often,
            would be as varied. Between 1 and K.
        coverage: {K': coverage error} of the K' most used atoms, K' = K, K/2, K/4 …
    """

    component: str
    level: int
    num_atoms: int
    num_faces: int
    usage: List[int]
    flat: int
    dead: int
    effective: float
    coverage: Dict[int, float]

    def facts(self) -> Dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Matches:
    """How the atoms of one component and level fit N faces.

    Args:
        chosen: (N,) the atom that the teacher takes.
        errors: (N, K) fp32, the error of each atom, see ``atom_errors``.
    """

    chosen: np.ndarray
    errors: np.ndarray

    def usage(self) -> np.ndarray:
        """(K,) how often each atom was chosen."""
        return np.bincount(self.chosen, minlength=self.errors.shape[1])

    def nearest_faces(self, atom: int, count: int) -> List[int]:
        """The faces that an atom fits best, the best one first."""
        order = np.argsort(self.errors[:, atom], kind='stable')
        return order[:count].tolist()

    def report(self, component: str, level: int) -> SlotReport:
        """What is told of them."""
        usage = self.usage()
        shares = usage[usage > 0] / len(self.chosen)
        effective = math.exp(-float((shares * np.log(shares)).sum()))
        return SlotReport(
            component, level, len(usage), len(self.chosen), usage.tolist(),
            int((~self._structured()).sum()), int((usage == 0).sum()),
            round(effective, 2), self._coverage(usage))

    def _structured(self) -> np.ndarray:
        """(N,) bool: the faces whose feature is not flat."""
        return self.errors.max(axis=1) > 0

    def _coverage(self, usage: np.ndarray) -> Dict[int, float]:
        """The mean error of the best atom among the K' most used ones."""
        order, coverage, kept = np.argsort(-usage, kind='stable'), {}, len(usage)
        errors = self.errors[self._structured()]
        while kept:
            best = errors[:, order[:kept]].min(axis=1)
            coverage[kept] = round(float(best.mean()), 4) if len(best) else 0.0
            kept //= 2
        return coverage


def atom_errors(dictionary: ComponentDictionary, component: str, level: int,
                feature: Tensor) -> Tensor:
    """How far each restyled atom is from each feature.

    ‖F − Re-D_k‖ / ‖F − μ(F)‖, where Re-D_k = σ(F)·N_k + μ(F) is the normalised atom
    N_k as AdaIN gives it to the decoder: 0 if it is the feature itself, 1 if it says
    no more than the feature's own means do, about √2 if it has nothing to do with it.

    Args:
        dictionary: with the atoms.
        component, level: whose.
        feature: (B, C, s, s).

    Returns:
        (B, K) fp32; 0 for a flat feature, constant but for rounding.
    """
    feature = feature.float()
    mean, deviation = channel_statistics(feature, dictionary.spec.unbiased)
    centred = feature - mean
    energy = centred.flatten(1).square().sum(dim=1, keepdim=True)
    query, weights = (deviation * centred).flatten(1), deviation.flatten(1)**2
    atoms = dictionary.atoms(component, level)
    rows = max(1, _CHUNK_VALUES // atoms[0].numel())
    errors = []
    for part in atoms.split(rows):
        part = part.float()
        squares = part.square().sum(dim=(-2, -1))
        cross = query @ part.flatten(1).T
        errors.append(energy - 2 * cross + weights @ squares.T)
    flat = energy <= _FLAT * feature.flatten(1).square().sum(dim=1, keepdim=True)
    # the smallest number above 0: an exact fit is not a flat feature
    squared = torch.cat(errors, dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return (squared / energy.masked_fill(flat, 1)).sqrt().masked_fill(flat, 0)


class DictionaryInspector:
    """Matches faces against a dictionary, and keeps how well each atom fits.

    What is kept of a face is an error for each atom: 32 KiB at K = 512.

    Args:
        encoder: that the dictionary was made with.
        dictionary: to look at.
        device: that computes.
    """

    def __init__(self, encoder: FeatureEncoder, dictionary: ComponentDictionary,
                 device: str = 'cpu') -> None:
        self.encoder = encoder.eval().to(device)
        self.dictionary = dictionary.to(device)
        self.device = device

    @torch.no_grad()
    def match(self, faces: Iterable[Tuple[Tensor, Tensor]]) -> Dict[Slot, Matches]:
        """How the atoms fit faces.

        Args:
            faces: batches of (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes.

        Raises:
            ValueError: there is no face.
        """
        slots = self.dictionary.spec.slots()
        chosen, errors = ({slot: [] for slot in slots} for _ in range(2))
        for images, boxes in faces:
            for slot, feature in component_features(
                    self.encoder, self.dictionary.spec.sides, images.to(self.device),
                    boxes.to(self.device)):
                chosen[slot].append(self.dictionary.match(*slot, feature).cpu())
                errors[slot].append(
                    atom_errors(self.dictionary, *slot, feature).cpu())
        if not chosen[slots[0]]:
            raise ValueError('There is no face to look at: the dataset brought none '
                             'that can be used.')
        return {slot: Matches(torch.cat(chosen[slot]).numpy(),
                              torch.cat(errors[slot]).numpy()) for slot in slots}


def crops_of(faces: Iterable[Tuple[Tensor, Tensor]],
             wanted: Dict[Slot, Iterable[int]]) -> Dict[Slot, Dict[int, np.ndarray]]:
    """Cuts components out of faces.

    Args:
        faces: those that were matched, in the same order.
        wanted: numbers of faces, for each component and level.

    Returns:
        For each of them the faces' crops, uint8 RGB of ``CROP_SIDE`` by PIL's bicubic,
        clipped at the border.
    """
    crops: Dict[Slot, Dict[int, np.ndarray]] = {slot: {} for slot in wanted}
    first = 0
    for images, boxes in faces:
        for slot, numbers in wanted.items():
            box = boxes[:, COMPONENTS.index(slot[0])]
            for number in {*numbers} & {*range(first, first + len(images))}:
                crops[slot][number] = _crop(images[number - first], box[number - first])
        first += len(images)
    return crops


def _crop(image: Tensor, box: Tensor) -> np.ndarray:
    side = image.shape[-1]
    x1, y1, x2, y2 = (int(value) for value in box.floor().clamp(0, side))
    x1, y1 = min(x1, side - 1), min(y1, side - 1)
    part = image[:, y1:max(y2, y1 + 1), x1:max(x2, x1 + 1)]
    pixels = (part * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return np.asarray(Image.fromarray(pixels).resize(
        (CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC))
