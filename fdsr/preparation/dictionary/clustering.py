"""K-means in a random projection, for vectors that exceed the memory.

The finest features of a mouth have 193,600 numbers per face at 256 px and 387,200 at
512 px, too many for a few thousand faces. A random projection preserves the clusters.
"""

import warnings

import numpy as np
import torch
from torch import Tensor

#: Signs converted to floats at a time.
_CHUNK_VALUES = 2**24


class SignProjection:
    """Multiplication by a fixed random matrix of ±1 / sqrt(outputs).

    It preserves the expected squared distance of two vectors with a relative standard
    deviation of at most sqrt(2 / outputs), 9 % for 256 (Johnson–Lindenstrauss; with
    signs, Achlioptas 2003). The cost of every partition into K clusters is preserved
    within 1 ± ε if outputs grows as log(K / ε) / ε² (Makarychev et al., STOC 2019).

    Signs are stored as bytes and converted to floats in chunks: for layout B at 256 px
    (805 k features per face) they take 206 MB instead of 824 MB for a Gaussian matrix.
    Sparse matrices are unsuitable, because features after a ReLU have few dominant
    entries.

    Args:
        inputs: length of the vectors.
        outputs: length of the result.
        seed: seed of the signs.
        device: device of the signs.
    """

    def __init__(self, inputs: int, outputs: int, seed: tuple[int, ...],
                 device: str = 'cpu') -> None:
        signs = np.random.default_rng(seed).integers(
            0, 2, size=(inputs, outputs), dtype=np.int8)
        signs *= 2
        signs -= 1
        self._signs = torch.from_numpy(signs).to(device)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Projects (B, inputs) to (B, outputs), both fp32."""
        outputs = self._signs.shape[1]
        rows = max(1, _CHUNK_VALUES // outputs)
        result = vectors.new_zeros(len(vectors), outputs)
        for chunk, signs in zip(vectors.split(rows, dim=1), self._signs.split(rows)):
            result += chunk @ signs.to(chunk.dtype)
        return result / outputs**0.5


def cluster(points: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Runs K-means (k-means++, Lloyd's algorithm) without empty clusters.

    It uses one thread, because with several the result of ties is not deterministic.

    Args:
        points: (N, D).
        num_clusters: K, at most N.
        seed: seed of the initialisation.

    Returns:
        Labels (N,); each of 0 … K − 1 occurs.

    Raises:
        ValueError: there are fewer points than clusters.
        ImportError: scikit-learn is not installed.
    """
    if len(points) < num_clusters:
        raise ValueError(
            f'{num_clusters} clusters need at least as many points, found '
            f'{len(points)}.')
    try:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            'Building a dictionary needs scikit-learn: pip install "fdsr[train]"'
        ) from error
    kmeans = KMeans(num_clusters, init='k-means++', n_init=1, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        # it warns about equal points, which fill_empty_clusters handles
        warnings.simplefilter('ignore', ConvergenceWarning)
        labels = kmeans.fit_predict(points)
    return fill_empty_clusters(points, labels.astype(np.int64), num_clusters)


def fill_empty_clusters(points: np.ndarray, labels: np.ndarray,
                        num_clusters: int) -> np.ndarray:
    """Moves the points farthest from their cluster's mean to empty clusters.

    Equal points cause empty clusters. A cluster of one point is left unchanged.

    Args:
        points: (N, D), N at least ``num_clusters``.
        labels: (N,).
        num_clusters: K.

    Returns:
        Labels (N,), the same array if no cluster was empty.
    """
    counts = np.bincount(labels, minlength=num_clusters)
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return labels
    means = np.zeros((num_clusters, points.shape[1]))
    np.add.at(means, labels, points)
    means /= np.maximum(counts, 1)[:, None]
    distances = np.square(points - means[labels]).sum(axis=1)
    labels, candidates = labels.copy(), iter(np.argsort(-distances, kind='stable'))
    for target in empty:
        point = next(one for one in candidates if counts[labels[one]] > 1)
        counts[labels[point]] -= 1
        counts[target] += 1
        labels[point] = target
    return labels
