"""Building a dictionary: K-means of the features of HR faces' components.

DFDNet (ECCV 2020, sec. 3.1) clusters VGG features of about 10,000 faces, each part and
level on its own. Here the faces pass by twice, so that no more than one batch of them
is ever in memory:

1. each face's features are cut out as the teacher does, projected at random to a few
   hundred numbers (``clustering.SignProjection``) and kept; K-means groups those;
2. the full features of each group are summed up in place of the atoms, and divided.

What is kept is the projections (N × 256 × 16 numbers in fp32, 33 MB for 2,000 faces)
and, in the second pass, the atoms themselves in fp32 (layout B at 256 px and K = 512:
1.65 GB), beside the encoder and its maps of one batch. Measured with VGG-16, 600 faces
and batches of 4: a peak of 3.1 GB in all.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

import numpy as np
import torch
from torch import Tensor

from fdsr.dictionary.clustering import SignProjection, cluster
from fdsr.dictionary.component_dictionary import ComponentDictionary, DictionarySpec
from fdsr.dictionary.components import COMPONENTS
from fdsr.dictionary.roi import BoxRegions
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import FeatureEncoder, layout_of

Slot = Tuple[str, int]
#: Batches of (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes, to be iterated twice.
FaceSource = Iterable[Tuple[Tensor, Tensor]]
#: Length of the projected vectors that are clustered.
PROJECTED = 256
#: Atoms handled at a time where they are copied in double precision.
_ROWS = 16


@dataclass
class BuiltDictionary:
    """A dictionary, and what its file has to tell about it.

    Args:
        dictionary: with its atoms set, on the CPU.
        num_faces: that it was made of.
        explained: for each component the share of the features' variance that the
            groups explain, one a level: 1 − within / total. It is 1 when each face
            has an atom of its own.
    """

    dictionary: ComponentDictionary
    num_faces: int
    explained: Dict[str, List[float]]


class DictionaryBuilder:
    """Makes atoms of faces.

    Args:
        encoder: of the teacher that is going to use the dictionary.
        size: side of the faces.
        eye_share: distance of the eyes as a share of the side; atoms' sides follow it.
        num_atoms: K, the same for each component and level.
        seed: of projections and K-means.
        projected: length of the projected vectors.
        device: where features are computed and summed up.
        report: is called with what begins next, in words, and with the number of
            faces done since the last call.
    """

    def __init__(self, encoder: FeatureEncoder, size: int, eye_share: float,
                 num_atoms: int, seed: int = 0, projected: int = PROJECTED,
                 device: str = 'cpu',
                 report: Callable[[str, int], None] = lambda step, faces: None) -> None:
        if num_atoms < 1:
            raise ValueError(f'num_atoms has to be at least 1, found {num_atoms}.')
        self.encoder = encoder.eval().to(device)
        self.spec = DictionarySpec.uniform(
            num_atoms=num_atoms, **dictionary_shape(encoder, size, eye_share))
        self.num_atoms, self.seed, self.projected = num_atoms, seed, projected
        self.device, self.report = device, report

    @torch.no_grad()
    def build(self, faces: FaceSource) -> BuiltDictionary:
        """Reads the faces twice and returns the dictionary.

        Args:
            faces: the same each time they are iterated.

        Raises:
            ValueError: there are fewer faces than atoms.
            RuntimeError: the second pass brought other faces than the first.
        """
        points = self.project(faces)
        labels = {}
        for component, level in self.spec.slots():
            self.report(f'K-means of {component} {level}', 0)
            labels[component, level] = cluster(
                points[component, level], self.num_atoms, self.seed)
        return self.average(faces, labels)

    def features(self, images: Tensor, boxes: Tensor) -> Iterator[Tuple[Slot, Tensor]]:
        """The features of each component and level, as the teacher matches them.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            boxes: (B, 4, 4) in pixels of the images.

        Yields:
            (component, level) and fp32 (B, C · s · s).
        """
        maps = self.encoder(images.to(self.device))
        boxes = boxes.to(self.device)
        strides = layout_of(self.encoder.layout).strides
        for level, (feature, stride) in enumerate(zip(maps, strides)):
            for order, component in enumerate(COMPONENTS):
                regions = BoxRegions(boxes[:, order], stride, feature.shape[-2:])
                side = self.spec.sides[component][level]
                window = regions.resize(regions.cut(feature).float(), side)
                yield (component, level), window.flatten(1)

    @torch.no_grad()
    def project(self, faces: FaceSource) -> Dict[Slot, np.ndarray]:
        """First pass: the projected features of all faces, (N, projected) a slot.

        Raises:
            ValueError: there are fewer faces than atoms.
        """
        self.report('features', 0)
        projections, points = {}, {slot: [] for slot in self.spec.slots()}
        for order, slot in enumerate(self.spec.slots()):
            length = int(np.prod(self.spec.atom_shape(*slot)[1:]))
            projections[slot] = SignProjection(
                length, self.projected, (self.seed, order), self.device)
        for images, boxes in faces:
            for slot, vectors in self.features(images, boxes):
                points[slot].append(projections[slot](vectors).cpu())
            self.report('features', len(images))
        first = points[self.spec.slots()[0]]
        check_enough_faces(self.num_atoms, sum(map(len, first)))
        return {slot: torch.cat(parts).numpy() for slot, parts in points.items()}

    @torch.no_grad()
    def average(self, faces: FaceSource, labels: Dict[Slot, np.ndarray]
                ) -> BuiltDictionary:
        """Second pass: the normalised mean of each group's full features.

        Args:
            faces: those of ``project``.
            labels: (N,) the group of each face, for each slot; none is empty.

        Raises:
            RuntimeError: these are other faces than those of the first pass.
        """
        dictionary = ComponentDictionary(self.spec).to(self.device)
        sums = {slot: dictionary.atoms(*slot).flatten(1) for slot in self.spec.slots()}
        squares = self._sum_up(faces, labels, sums)
        explained = {name: [] for name in COMPONENTS}
        for slot in self.spec.slots():
            counts = np.bincount(labels[slot], minlength=self.num_atoms)
            explained[slot[0]].append(
                _to_means_(sums[slot], counts, squares[slot]))
            dictionary.set_atoms(*slot, dictionary.atoms(*slot))
        return BuiltDictionary(dictionary.cpu(), int(counts.sum()), explained)

    def _sum_up(self, faces: FaceSource, labels: Dict[Slot, np.ndarray],
                sums: Dict[Slot, Tensor]) -> Dict[Slot, float]:
        """Adds each face's features to the (K, D) sums; returns Σ|x|² a slot."""
        self.report('averages', 0)
        squares, seen = dict.fromkeys(sums, 0.0), 0
        expected = len(next(iter(labels.values())))
        for images, boxes in faces:
            if seen + len(images) > expected:
                raise RuntimeError(_changed(expected, 'more'))
            for slot, vectors in self.features(images, boxes):
                squares[slot] += _square_sum(vectors)
                # One at a time: index_add_ on a GPU sums in an order of its own.
                for label, vector in zip(labels[slot][seen:], vectors):
                    sums[slot][label] += vector
            seen += len(images)
            self.report('averages', len(images))
        if seen != expected:
            raise RuntimeError(_changed(expected, seen))
        return squares


def check_enough_faces(num_atoms: int, num_faces: int) -> None:
    """Refuses to make more atoms than there are faces.

    Raises:
        ValueError: so it is; the message tells both numbers and what to do.
    """
    if num_faces < num_atoms:
        raise ValueError(
            f'{num_atoms} atoms a component need at least as many faces, found '
            f'{num_faces} that can be used. Ask for at most {num_faces} with '
            '--num-atoms, or give more faces: a larger --max-faces, or a data set that '
            'keeps more.')


def _changed(expected: int, found: Any) -> str:
    return (f'The data set brought {expected} faces in the first pass and {found} in '
            'the second. Let nothing change the data while a dictionary is built, and '
            'start again.')


def _square_sum(vectors: Tensor) -> float:
    return float(torch.linalg.vector_norm(vectors, dtype=torch.float64)**2)


def _to_means_(sums: Tensor, counts: np.ndarray, squares: float) -> float:
    """Divides the sums (K, D) by the counts, in place.

    Returns:
        The share of the variance between the groups, from Σ|x|² = ``squares``.
    """
    total, between = 0, 0.0
    for part, count in zip(sums.split(_ROWS), torch.from_numpy(counts).split(_ROWS)):
        count = count.to(part.device)
        exact = part.double()
        total = total + exact.sum(dim=0)
        between += float((exact.square().sum(dim=1) / count).sum())
        part /= count[:, None]
    offset = float(total.square().sum()) / int(counts.sum())
    variance = squares - offset
    return 1.0 if variance <= 0 else round((between - offset) / variance, 4)
