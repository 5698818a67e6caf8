"""Building a dictionary: K-means of the features of HR faces' components.

DFDNet (ECCV 2020, sec. 3.1) clusters VGG features of about 10,000 faces, each part and
level on its own. Here the faces pass by twice, so that no more than one batch of them
is ever in memory:

1. each face's features are cut out as the teacher does, projected at random to a few
   hundred numbers (``clustering.SignProjection``) and kept; K-means groups those;
2. the full features of each group are summed up in place of the atoms, and divided.

What is kept of a face is its projections, 16 × 256 numbers in fp32: 16 KiB, 164 MB for
10,000 faces. Beside them stand, in the second pass, the atoms themselves in fp32
(layout B at 256 px and K = 512: 1.65 GB), and the encoder and its maps of one batch.
docs/dictionaries.md has the measured figures.

With a ``BuildState`` each of these is on disk when it is done, and a build that was cut
off goes on from there: batches of the first pass, the groups of each component and
level, the sums of the second pass. Images are read again, but not encoded.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import FeatureEncoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.preparation.dictionary.clustering import SignProjection, cluster
from fdsr.preparation.dictionary.features import Slot, component_features
from fdsr.preparation.dictionary.resume import BuildState

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
        state: where to keep what is finished, and to look for what already is.
    """

    def __init__(self, encoder: FeatureEncoder, size: int, eye_share: float,
                 num_atoms: int, seed: int = 0, projected: int = PROJECTED,
                 device: str = 'cpu',
                 report: Callable[[str, int], None] = lambda step, faces: None,
                 state: Optional[BuildState] = None) -> None:
        check_num_atoms(num_atoms)
        self.encoder = encoder.eval().to(device)
        self.spec = DictionarySpec.uniform(
            num_atoms=num_atoms, **dictionary_shape(encoder, size, eye_share))
        self.num_atoms, self.seed, self.projected = num_atoms, seed, projected
        self.device, self.report, self.state = device, report, state

    @torch.no_grad()
    def build(self, faces: FaceSource) -> BuiltDictionary:
        """Reads the faces twice and returns the dictionary.

        Args:
            faces: the same each time they are iterated.

        Raises:
            ValueError: there are fewer faces than atoms.
            RuntimeError: the second pass brought other faces than the first.
        """
        return self.average(faces, self.group(self.project(faces)))

    def group(self, points: Dict[Slot, np.ndarray]) -> Dict[Slot, np.ndarray]:
        """K-means of each component and level: (N,) labels of (N, projected) points."""
        labels = {}
        for slot in self.spec.slots():
            self.report('K-means of {} {}'.format(*slot), 0)
            labels[slot] = self.state.labels(*slot) if self.state else None
            if labels[slot] is None:
                labels[slot] = cluster(points[slot], self.num_atoms, self.seed)
                if self.state:
                    self.state.keep_labels(*slot, labels[slot])
        return labels

    def features(self, images: Tensor, boxes: Tensor) -> Iterator[Tuple[Slot, Tensor]]:
        """The features of each component and level, as the teacher matches them.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            boxes: (B, 4, 4) in pixels of the images.

        Yields:
            (component, level) and fp32 (B, C · s · s).
        """
        for slot, window in component_features(
                self.encoder, self.spec.sides, images.to(self.device),
                boxes.to(self.device)):
            yield slot, window.flatten(1)

    @torch.no_grad()
    def project(self, faces: FaceSource) -> Dict[Slot, np.ndarray]:
        """First pass: the projected features of all faces, (N, projected) a slot.

        Raises:
            ValueError: there are fewer faces than atoms.
        """
        self.report('features', 0)
        projections, points = self._projections(), []
        for number, (images, boxes) in enumerate(faces):
            points.append(self._points(number, images, boxes, projections))
            self.report('features', len(images))
        check_enough_faces(self.num_atoms, sum(map(len, points)))
        return {slot: np.concatenate([part[:, order] for part in points])
                for order, slot in enumerate(self.spec.slots())}

    def _projections(self) -> Dict[Slot, SignProjection]:
        projections = {}
        for order, slot in enumerate(self.spec.slots()):
            length = int(np.prod(self.spec.atom_shape(*slot)[1:]))
            projections[slot] = SignProjection(
                length, self.projected, (self.seed, order), self.device)
        return projections

    def _points(self, number: int, images: Tensor, boxes: Tensor,
                projections: Dict[Slot, SignProjection]) -> np.ndarray:
        """(B, slots, projected) of a batch, from the state if they are there."""
        points = self.state.points(number) if self.state else None
        if points is None:
            parts = {slot: projections[slot](vectors).cpu().numpy()
                     for slot, vectors in self.features(images, boxes)}
            points = np.stack([parts[slot] for slot in self.spec.slots()], axis=1)
            if self.state:
                self.state.keep_points(number, points)
        if len(points) != len(images):
            raise RuntimeError(_changed(len(points), len(images)))
        return points

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
        expected = len(next(iter(labels.values())))
        done, squares = self._kept_sums(sums)
        seen = saved = 0
        for images, boxes in faces:
            if seen + len(images) > expected:
                raise RuntimeError(_changed(expected, 'more'))
            if seen >= done:
                self._add(images, boxes, {slot: labels[slot][seen:] for slot in sums},
                          sums, squares)
            seen += len(images)
            self.report('averages', len(images))
            if self.state and seen - max(saved, done) >= self.state.save_every:
                self.state.keep_averages(seen, squares, sums)
                saved = seen
        if seen != expected:
            raise RuntimeError(_changed(expected, seen))
        return squares

    def _kept_sums(self, sums: Dict[Slot, Tensor]) -> Tuple[int, Dict[Slot, float]]:
        """Fills in sums that were kept: the number of their faces, and Σ|x|²."""
        kept = self.state.averages() if self.state else None
        if kept is None:
            return 0, dict.fromkeys(sums, 0.0)
        for total, part in zip(sums.values(), kept['sums']):
            total.copy_(part)
        return kept['seen'], dict(zip(sums, kept['squares']))

    def _add(self, images: Tensor, boxes: Tensor, labels: Dict[Slot, np.ndarray],
             sums: Dict[Slot, Tensor], squares: Dict[Slot, float]) -> None:
        """Adds one batch, whose labels stand first."""
        for slot, vectors in self.features(images, boxes):
            squares[slot] += _square_sum(vectors)
            # One at a time: index_add_ on a GPU sums in an order of its own.
            for label, vector in zip(labels[slot], vectors):
                sums[slot][label] += vector


def check_num_atoms(num_atoms: int) -> None:
    """Refuses to make no atom at all.

    Raises:
        ValueError: so it is.
    """
    if num_atoms < 1:
        raise ValueError(f'num_atoms has to be at least 1, found {num_atoms}.')


def check_enough_faces(num_atoms: int, num_faces: int) -> None:
    """Refuses to make more atoms than there are faces.

    Raises:
        ValueError: so it is; the message tells both numbers and what to do.
    """
    if num_faces < num_atoms:
        raise ValueError(
            f'{num_atoms} atoms a component need at least as many faces, found '
            f'{num_faces} that can be used. Ask for at most {num_faces} with '
            '--num-atoms, or give more faces: a larger --max-faces, or a dataset that '
            'keeps more.')


def _changed(expected: int, found: Any) -> str:
    return (f'The dataset brought {expected} faces in the first pass and {found} in '
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
