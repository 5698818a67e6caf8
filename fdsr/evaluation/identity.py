"""Whether the SR shows the same person as the GT, by embeddings of the two faces."""

import hashlib
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Union

import numpy as np
import torch
from torch import Tensor

from fdsr.evaluation.embedders import FaceEmbedder, build_embedder
from fdsr.evaluation.pair_metric import PairMetric
from fdsr.registry import METRICS


class _Reference(NamedTuple):
    """What is kept of a GT."""

    transform: Any
    embedding: np.ndarray


@METRICS.register_module()
class IdentitySimilarity(PairMetric):
    """Cosine of the embeddings of GT and SR, in [-1, 1]; higher is better.

    The face is looked for in the GT alone, and the same chip is cut out of the SR: a
    detector that fails on a poor SR cannot change the number. A GT in which no face is
    found counts with its whole square, and is counted.

    Embedders differ in how far apart they put people, so numbers of two embedders are
    not comparable: dlib's cosines lie close to 1 even between strangers.

    Args:
        embedder: 'dlib' (column 'ID-dlib'), the path of an ONNX file (column
            'ID-' and the file's stem), or a `FaceEmbedder`.
        sha256: the hash of the ONNX file.
        landmarks: config of the detector of five points that goes with an ONNX file;
            default: `fdsr.landmarks.default_detector()`.
        cache_size: how many GT embeddings are kept, for other models that are measured
            against the same GT.
        collect_device: as for mmengine's metrics.
        prefix: as for mmengine's metrics.

    Raises:
        ValueError: an unknown embedder, or an argument that it does not take.
        ImportError, FileNotFoundError: see `DlibEmbedder` and `OnnxEmbedder`.
    """

    def __init__(
        self, embedder: Union[str, FaceEmbedder] = 'dlib',
        sha256: Optional[str] = None, landmarks: Any = None, cache_size: int = 4096,
        collect_device: str = 'cpu', prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.embedder = build_embedder(embedder, sha256, landmarks)
        self.metric = f'ID-{self.embedder.name}'
        self.cache_size = cache_size
        self._references: 'OrderedDict[bytes, _Reference]' = OrderedDict()
        self._without_face: Set[bytes] = set()

    @property
    def num_without_face(self) -> int:
        """How many different GTs of this process had no face for the detector."""
        return len(self._without_face)

    def protocol(self) -> Dict[str, Any]:
        """Returns what has to stand beside a number of this metric."""
        return dict(
            metric='ID', similarity='cosine', **self.embedder.protocol(),
            chip='found on GT, the same for SR', border=0,
            gt_without_detected_face=self.num_without_face)

    @torch.no_grad()
    def process_batch(self, gt: Tensor, pred: Tensor) -> List[float]:
        """Returns the similarity of each pair of a batch.

        Args:
            gt: (B, 3, H, W) uint8 RGB.
            pred: as `gt`.

        Returns:
            B similarities.

        Raises:
            ValueError: the shapes differ, or the type is not uint8.
        """
        self.check_batch(gt, pred)
        references = self._references_of(_pictures(gt))
        chips = [
            self.embedder.chip(picture, reference.transform)
            for picture, reference in zip(_pictures(pred), references)]
        embeddings = self.embedder.embed(chips)
        return [
            _cosine(reference.embedding, embedding)
            for reference, embedding in zip(references, embeddings)]

    def _references_of(self, pictures: Sequence[np.ndarray]) -> List[_Reference]:
        """Looks GTs up, embedding those that are new."""
        keys = [_key(picture) for picture in pictures]
        new = {
            key: picture for key, picture in zip(keys, pictures)
            if key not in self._references}
        known = {key: self._references[key] for key in keys if key not in new}
        known.update(zip(new, self._embed_references(list(new.values()), list(new))))
        for key in keys:
            self._references[key] = known[key]
            self._references.move_to_end(key)
        while len(self._references) > self.cache_size:
            self._references.popitem(last=False)
        return [known[key] for key in keys]

    def _embed_references(
        self, pictures: Sequence[np.ndarray], keys: Sequence[bytes],
    ) -> List[_Reference]:
        if not pictures:
            return []
        aligned = self.embedder.align(pictures)
        self._without_face.update(
            key for key, (_, found) in zip(keys, aligned) if not found)
        embeddings = self.embedder.embed([
            self.embedder.chip(picture, transform)
            for picture, (transform, _) in zip(pictures, aligned)])
        return [
            _Reference(transform, embedding)
            for (transform, _), embedding in zip(aligned, embeddings)]


def _pictures(images: Tensor) -> List[np.ndarray]:
    """Turns (B, 3, H, W) into B arrays (H, W, 3), each in one piece."""
    return list(images.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def _key(picture: np.ndarray) -> bytes:
    shape = repr(picture.shape).encode()
    return hashlib.sha256(shape + picture.tobytes()).digest()


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
