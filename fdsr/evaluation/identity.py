"""Identity similarity: the cosine of the face embeddings of SR and GT."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fdsr.evaluation.embedders import FaceEmbedder, build_embedder
from fdsr.evaluation.pair_metric import PairMetric
from fdsr.registry import METRICS


class _Reference(NamedTuple):
    """Cached chip transform and embedding of a GT image."""

    transform: Any
    embedding: np.ndarray


@METRICS.register_module()
class IdentitySimilarity(PairMetric):
    """Cosine of the embeddings of GT and SR, in [-1, 1]; higher is better.

    The face is detected in the GT only, and the same chip is cropped from the SR, so
    that detection failures on a poor SR do not change the number. If no face is found
    in a GT, its centre square is used; the protocol reports how often.

    Numbers of different embedders are not comparable: dlib's cosines are close to 1
    even between different people.

    Args:
        embedder: 'dlib' (column 'ID-dlib'), the path of an ONNX file (column
            'ID-' and the file's stem), or a `FaceEmbedder`.
        sha256: Hash of the ONNX file.
        landmarks: Config of the five-point detector for an ONNX file; default:
            `fdsr.landmarks.default_detector()`.
        cache_size: Number of GT embeddings that are cached for the next models.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.

    Raises:
        ValueError: The embedder is unknown or does not take an argument.
        ImportError, FileNotFoundError: See `DlibEmbedder` and `OnnxEmbedder`.
    """

    metric = 'ID'
    higher_is_better = True
    digits = 4

    def __init__(
        self, embedder: str | FaceEmbedder = 'dlib',
        sha256: str | None = None, landmarks: Any = None, cache_size: int = 4096,
        collect_device: str = 'cpu', prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.embedder = build_embedder(embedder, sha256, landmarks)
        self.metric = f'{self.metric}-{self.embedder.name}'
        self.cache_size = cache_size
        self._references: 'OrderedDict[bytes, _Reference]' = OrderedDict()
        self._without_face: set[bytes] = set()

    @property
    def num_without_face(self) -> int:
        """Number of different GT images of this process without a detected face."""
        return len(self._without_face)

    def protocol(self) -> dict[str, Any]:
        """Returns the facts that are reported with the metric's numbers."""
        return dict(
            metric='ID', similarity='cosine', **self.embedder.protocol(),
            chip='found on GT, the same for SR', border=0,
            gt_without_detected_face=self.num_without_face)

    @torch.no_grad()
    def process_batch(self, gt: Tensor, pred: Tensor) -> list[float]:
        """Returns the similarity of each pair of a batch.

        Args:
            gt: (B, 3, H, W) uint8 RGB.
            pred: (B, 3, H, W) uint8 RGB.

        Returns:
            B similarities.

        Raises:
            ValueError: The shapes differ or the type is not uint8.
        """
        self.check_batch(gt, pred)
        references = self._references_of(_arrays(gt))
        chips = [
            self.embedder.chip(image, reference.transform)
            for image, reference in zip(_arrays(pred), references)]
        embeddings = self.embedder.embed(chips)
        return [
            _cosine(reference.embedding, embedding)
            for reference, embedding in zip(references, embeddings)]

    def _references_of(self, images: Sequence[np.ndarray]) -> list[_Reference]:
        """Returns the references of GT images, cached or computed now."""
        keys = [_key(image) for image in images]
        self._references.update(self._embed_references({
            key: image for key, image in zip(keys, images)
            if key not in self._references}))
        found = [self._references[key] for key in keys]
        for key in keys:
            self._references.move_to_end(key)
        while len(self._references) > self.cache_size:
            self._references.popitem(last=False)
        return found

    def _embed_references(
        self, images: dict[bytes, np.ndarray],
    ) -> dict[bytes, _Reference]:
        if not images:
            return {}
        aligned = self.embedder.align(list(images.values()))
        self._without_face.update(
            key for key, (_, found) in zip(images, aligned) if not found)
        transforms = [transform for transform, _ in aligned]
        embeddings = self.embedder.embed(
            list(map(self.embedder.chip, images.values(), transforms)))
        return dict(zip(images, map(_Reference, transforms, embeddings)))


def _arrays(images: Tensor) -> list[np.ndarray]:
    """Returns B contiguous arrays (H, W, 3) of a tensor (B, 3, H, W)."""
    return list(images.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def _key(image: np.ndarray) -> bytes:
    shape = repr(image.shape).encode()
    return hashlib.sha256(shape + image.tobytes()).digest()


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
