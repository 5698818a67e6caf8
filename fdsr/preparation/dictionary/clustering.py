"""K-means of vectors that are too long to keep: in a random projection.

A mouth's finest features are 193,600 numbers a face at 256 px and 387,200 at 512 px,
so a few thousand faces fill any memory. Only which faces belong together has to be
found, and that survives a random projection.
"""

import warnings

import numpy as np
import torch
from torch import Tensor

#: Signs turned into floats at a time.
_CHUNK_VALUES = 2**24


class SignProjection:
    """Multiplies vectors by a fixed random matrix of ±1 / sqrt(outputs).

    The squared distance of two vectors is kept on average, with a relative standard
    deviation of at most sqrt(2 / outputs), 9 % for 256, however long they are
    (Johnson–Lindenstrauss; with signs, Achlioptas 2003). K-means needs less than all
    distances: the cost of every partition into K clusters is kept within 1 ± ε when
    outputs grows as log(K / ε) / ε² (Makarychev et al., STOC 2019), whatever the
    number of vectors is.

    The signs lie in memory as one byte each and become floats a chunk at a time: for
    layout B at 256 px (805 k features a face) 206 MB instead of the 824 MB of a
    Gaussian matrix, with the same guarantee. Sparser matrices would be smaller still,
    but need vectors without few dominant entries, which is what features after a
    ReLU have.

    Args:
        inputs: length of the vectors.
        outputs: length of the result.
        seed: numbers that determine the signs.
        device: to keep the signs on.
    """

    def __init__(self, inputs: int, outputs: int, seed: tuple[int, ...],
                 device: str = 'cpu') -> None:
        signs = np.random.default_rng(seed).integers(
            0, 2, size=(inputs, outputs), dtype=np.int8)
        signs *= 2
        signs -= 1
        self._signs = torch.from_numpy(signs).to(device)

    def __call__(self, vectors: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs), both fp32."""
        outputs = self._signs.shape[1]
        rows = max(1, _CHUNK_VALUES // outputs)
        result = vectors.new_zeros(len(vectors), outputs)
        for part, signs in zip(vectors.split(rows, dim=1), self._signs.split(rows)):
            result += part @ signs.to(part.dtype)
        return result / outputs**0.5


def cluster(points: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """K-means (k-means++ start, Lloyd's iterations) without an empty cluster.

    It runs on one thread: with several, the order of their sums decides about ties.

    Args:
        points: (N, D).
        num_clusters: K, at most N.
        seed: of the start.

    Returns:
        (N,) labels; each of 0 … K − 1 occurs.

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
        # It warns of points that coincide; fill_empty_clusters assigns them.
        warnings.simplefilter('ignore', ConvergenceWarning)
        labels = kmeans.fit_predict(points)
    return fill_empty_clusters(points, labels.astype(np.int64), num_clusters)


def fill_empty_clusters(points: np.ndarray, labels: np.ndarray,
                        num_clusters: int) -> np.ndarray:
    """Gives each empty cluster the point that lies worst in its own.

    The points farthest from their cluster's mean go first, and none leaves a cluster
    of one. Points that coincide leave clusters empty.

    Args:
        points: (N, D), N at least ``num_clusters``.
        labels: (N,).
        num_clusters: K.

    Returns:
        (N,) labels, the same array if no cluster was empty.
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
