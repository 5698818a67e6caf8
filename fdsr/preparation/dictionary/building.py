"""Builder of dictionaries: K-means of the component features of HR faces.

DFDNet (ECCV 2020, sec. 3.1) clusters VGG features of about 10,000 faces, separately for
each component and level. This builder reads the faces twice, so that only one batch is
in memory:

1. the features of each face are cut out as in the teacher, projected randomly to a few
   hundred numbers (``clustering.SignProjection``) and clustered by K-means;
2. the full features of each cluster are averaged in the memory of the atoms.

The projections of a face take 16 × 256 fp32 numbers, 16 KiB; 164 MB for 10,000 faces.
The second pass adds the atoms in fp32 (layout B at 256 px and K = 512: 1.65 GB), the
encoder and its feature maps of one batch. docs/dictionaries.md has measurements.

A ``BuildState`` stores finished batches of the first pass, the labels of each component
and level, and the sums of the second pass. An interrupted build resumes from it; images
are read again, but not encoded.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import Encoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.preparation.dictionary.clustering import SignProjection, cluster
from fdsr.preparation.dictionary.features import Slot, component_features
from fdsr.preparation.dictionary.resume import BuildState

#: Batches of (B, 3, S, S) RGB in [0, 1] and (B, 4, 4) boxes, to be iterated twice.
FaceSource = Iterable[tuple[Tensor, Tensor]]
#: Length of the projected vectors.
PROJECTED = 256
#: Atoms converted to double precision at a time.
_ROWS = 16


@dataclass
class BuiltDictionary:
    """Built dictionary and the facts for its file.

    Args:
        dictionary: dictionary on the CPU.
        num_faces: number of faces.
        explained: share of the variance of the features explained by the clusters, for
            each component and level: 1 − within / total. It is 1 if each face has its
            own atom.
    """

    dictionary: ComponentDictionary
    num_faces: int
    explained: dict[str, list[float]]


class DictionaryBuilder:
    """Builder of atoms from faces.

    Args:
        encoder: encoder of the teacher.
        size: side of the faces.
        eye_share: eye distance as a share of the side; it scales the atoms.
        num_atoms: K, the same for each component and level.
        seed: seed of projections and K-means.
        projected: length of the projected vectors.
        device: device of the features and sums.
        report: called with the name of the current step and the number of faces
            processed since the last call.
        state: storage for resuming.
    """

    def __init__(self, encoder: Encoder, size: int, eye_share: float,
                 num_atoms: int, seed: int = 0, projected: int = PROJECTED,
                 device: str = 'cpu',
                 report: Callable[[str, int], None] = lambda step, faces: None,
                 state: BuildState | None = None) -> None:
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
            faces: must yield the same faces in each iteration.

        Raises:
            ValueError: there are fewer faces than atoms.
            RuntimeError: the number of faces differs between the passes.
        """
        return self.average(faces, self.group(self.project(faces)))

    def group(self, points: dict[Slot, np.ndarray]) -> dict[Slot, np.ndarray]:
        """Clusters the points (N, projected) of each component and level.

        Returns:
            Labels (N,) for each slot.
        """
        labels = {}
        for slot in self.spec.slots():
            self.report('K-means of {} {}'.format(*slot), 0)
            file = 'labels_{}_{}'.format(*slot)
            labels[slot] = self.state.array(file) if self.state else None
            if labels[slot] is None:
                labels[slot] = cluster(points[slot], self.num_atoms, self.seed)
                if self.state:
                    self.state.keep_array(file, labels[slot])
        return labels

    def features(self, images: Tensor, boxes: Tensor) -> Iterator[tuple[Slot, Tensor]]:
        """Yields the features of each component and level, see ``slot_features``."""
        return slot_features(self.encoder, self.spec, images.to(self.device),
                             boxes.to(self.device))

    @torch.no_grad()
    def project(self, faces: FaceSource) -> dict[Slot, np.ndarray]:
        """Runs the first pass: projected features (N, projected) for each slot.

        Raises:
            ValueError: there are fewer faces than atoms.
        """
        self.report('features', 0)
        encode = Projector(self.encoder, self.spec, self.seed, self.projected,
                           self.device)
        points = []
        for number, (images, boxes) in enumerate(faces):
            points.append(self.points(
                number, len(images), functools.partial(encode, images, boxes)))
        return self.by_slot(points)

    def by_slot(self, points: list[np.ndarray]) -> dict[Slot, np.ndarray]:
        """Returns the points (N, projected) of each slot from those of the batches.

        Raises:
            ValueError: there are fewer faces than atoms.
        """
        check_enough_faces(self.num_atoms, sum(map(len, points)))
        return {slot: np.concatenate([batch[:, order] for batch in points])
                for order, slot in enumerate(self.spec.slots())}

    def points(self, number: int, count: int, compute: Callable[[], np.ndarray]
               ) -> np.ndarray:
        """Returns the points (B, slots, projected) of a batch, stored or computed.

        Args:
            number: number of the batch, without those that have no face.
            count: number of its faces.
            compute: returns the points.

        Raises:
            RuntimeError: the stored batch has another number of faces.
        """
        file = f'points_{number:06d}'
        points = self.state.array(file) if self.state else None
        if points is None:
            points = compute()
            if self.state:
                self.state.keep_array(file, points)
        if len(points) != count:
            raise RuntimeError(_changed(len(points), count))
        self.report('features', count)
        return points

    @torch.no_grad()
    def average(self, faces: FaceSource, labels: dict[Slot, np.ndarray]
                ) -> BuiltDictionary:
        """Runs the second pass: the normalised mean of the features of each cluster.

        Args:
            faces: the faces of ``project``.
            labels: (N,) labels for each slot, without empty clusters.

        Raises:
            RuntimeError: the number of faces differs from the first pass.
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

    def _sum_up(self, faces: FaceSource, labels: dict[Slot, np.ndarray],
                sums: dict[Slot, Tensor]) -> dict[Slot, float]:
        """Adds the features to the (K, D) sums; returns Σ|x|² of each slot."""
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

    def _kept_sums(self, sums: dict[Slot, Tensor]) -> tuple[int, dict[Slot, float]]:
        """Loads stored sums; returns the number of their faces and Σ|x|²."""
        kept = self.state.averages() if self.state else None
        if kept is None:
            return 0, dict.fromkeys(sums, 0.0)
        for total, stored in zip(sums.values(), kept['sums']):
            total.copy_(stored)
        return kept['seen'], dict(zip(sums, kept['squares']))

    def _add(self, images: Tensor, boxes: Tensor, labels: dict[Slot, np.ndarray],
             sums: dict[Slot, Tensor], squares: dict[Slot, float]) -> None:
        """Adds one batch; ``labels`` begin with those of the batch."""
        for slot, vectors in self.features(images, boxes):
            squares[slot] += float(
                torch.linalg.vector_norm(vectors, dtype=torch.float64)**2)
            # in order: index_add_ on a GPU is not deterministic
            for label, vector in zip(labels[slot], vectors):
                sums[slot][label] += vector


def slot_features(encoder: Encoder, spec: DictionarySpec, images: Tensor, boxes: Tensor
                  ) -> Iterator[tuple[Slot, Tensor]]:
    """Yields the features of each component and level, as the teacher matches them.

    Args:
        encoder: encoder of the teacher.
        spec: shape of the dictionary.
        images: (B, 3, S, S) RGB in [0, 1].
        boxes: (B, 4, 4) in pixels of the images.

    Yields:
        (component, level) and fp32 (B, C · s · s).
    """
    for slot, window in component_features(encoder, spec.sides, images, boxes):
        yield slot, window.flatten(1)


class Projector:
    """Random projections of the features of faces, the first pass.

    Args:
        encoder: encoder of the teacher.
        spec: shape of the dictionary.
        seed: seed of the projections.
        projected: length of the projected vectors.
        device: device of the features.
    """

    def __init__(self, encoder: Encoder, spec: DictionarySpec, seed: int,
                 projected: int, device: str) -> None:
        self.encoder, self.spec, self.device = encoder, spec, device
        self.seed, self.projected = seed, projected
        self._projections: dict[Slot, SignProjection] = {}

    def __getstate__(self) -> dict[str, Any]:
        # the signs of 256 px take 206 MB; each process draws them itself
        return {**self.__dict__, '_projections': {}}

    @torch.no_grad()
    def __call__(self, images: Tensor, boxes: Tensor) -> np.ndarray:
        """Returns the points (B, slots, projected) of a batch."""
        if not self._projections:
            self._projections = {
                slot: SignProjection(int(np.prod(self.spec.atom_shape(*slot)[1:])),
                                     self.projected, (self.seed, order), self.device)
                for order, slot in enumerate(self.spec.slots())}
        found = {slot: self._projections[slot](vectors).cpu().numpy()
                 for slot, vectors in slot_features(
                     self.encoder, self.spec, images.to(self.device),
                     boxes.to(self.device))}
        return np.stack([found[slot] for slot in self.spec.slots()], axis=1)


def check_num_atoms(num_atoms: int) -> None:
    """Checks the number of atoms.

    Raises:
        ValueError: ``num_atoms`` is less than 1.
    """
    if num_atoms < 1:
        raise ValueError(f'num_atoms must be at least 1, found {num_atoms}.')


def check_enough_faces(num_atoms: int, num_faces: int) -> None:
    """Checks that there are at least as many faces as atoms.

    Raises:
        ValueError: there are fewer faces than atoms.
    """
    if num_faces < num_atoms:
        raise ValueError(
            f'{num_atoms} atoms per component need at least as many faces, found '
            f'{num_faces} usable ones. Reduce --num-atoms to at most {num_faces}, or '
            'use more faces: increase --max-faces or choose a larger dataset.')


def _changed(expected: int, found: Any) -> str:
    return (f'The dataset had {expected} faces in the first pass and {found} in the '
            'second. Start again, and do not change the data while a dictionary is '
            'built.')


def _to_means_(sums: Tensor, counts: np.ndarray, squares: float) -> float:
    """Divides the sums (K, D) by the counts, in place.

    Returns:
        The share of the variance between clusters, from Σ|x|² = ``squares``.
    """
    total, between = 0, 0.0
    for rows, count in zip(sums.split(_ROWS), torch.from_numpy(counts).split(_ROWS)):
        count = count.to(rows.device)
        exact = rows.double()
        total = total + exact.sum(dim=0)
        between += float((exact.square().sum(dim=1) / count).sum())
        rows /= count[:, None]
    offset = float(total.square().sum()) / int(counts.sum())
    variance = squares - offset
    return 1.0 if variance <= 0 else round((between - offset) / variance, 4)
