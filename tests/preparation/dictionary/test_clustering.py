"""Random projection, and K-means without empty clusters."""

import numpy as np
import pytest
import torch

from fdsr.preparation.dictionary.clustering import (
    SignProjection,
    cluster,
    fill_empty_clusters,
)


def blobs(num_points: int, length: int, groups: int, seed: int) -> np.ndarray:
    """Points around a few centres, of very unequal features."""
    rng = np.random.default_rng(seed)
    scale = rng.exponential(size=length)
    centres = rng.normal(size=(groups, length)) * scale
    points = centres[rng.integers(groups, size=num_points)]
    return (points + rng.normal(size=points.shape) * scale).astype(np.float32)


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    return sum(np.square(points[labels == k] - points[labels == k].mean(axis=0)).sum()
               for k in np.unique(labels))


def test_projection_keeps_distances():
    points = torch.from_numpy(blobs(60, 5000, 5, seed=0))
    full = torch.pdist(points.double()).square()
    near = torch.pdist(SignProjection(5000, 256, (0, 0))(points).double()).square()
    ratio = near / full
    assert abs(float(ratio.mean()) - 1) < 0.05
    assert float(ratio.std()) < (2 / 256)**0.5 * 1.15
    assert float(ratio.std()) > (2 / 256)**0.5 * 0.5, 'this is no random projection'


def test_projection_by_chunks_is_the_matrix_product(monkeypatch):
    from fdsr.preparation.dictionary import clustering
    points = torch.randn(3, 100)
    whole = SignProjection(100, 8, (5, 1))(points)
    monkeypatch.setattr(clustering, '_CHUNK_VALUES', 8 * 7)
    projection = SignProjection(100, 8, (5, 1))
    torch.testing.assert_close(projection(points), whole)
    matrix = projection(torch.eye(100))
    assert torch.equal(matrix.abs().unique(), torch.tensor([8**-0.5]))
    torch.testing.assert_close(points @ matrix, whole)


@pytest.mark.parametrize('seed', [(0, 1), (1, 0)])
def test_projections_of_other_seeds_differ(seed):
    eye = torch.eye(50)
    assert not torch.equal(SignProjection(50, 8, (0, 0))(eye),
                           SignProjection(50, 8, seed)(eye))


def test_clusters_in_the_projection_are_as_good_as_in_full():
    points = blobs(200, 4000, 12, seed=1)
    short = SignProjection(4000, 256, (3, 0))(torch.from_numpy(points)).numpy()
    projected = inertia(points, cluster(short, 20, seed=0))
    direct = inertia(points, cluster(points, 20, seed=0))
    worthless = inertia(points, np.arange(200) % 20)
    assert projected < 1.05 * direct < 0.8 * worthless


def test_no_cluster_is_empty_where_points_coincide():
    points = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    labels = cluster(points, 9, seed=0)
    assert set(labels) == set(range(9))
    for label in range(9):
        assert len(np.unique(points[labels == label], axis=0)) == 1


def test_an_empty_cluster_gets_the_point_that_lies_worst():
    points = np.array([[0.0], [0], [9], [20], [21]])
    labels = np.array([0, 0, 0, 2, 2])
    filled = fill_empty_clusters(points, labels, 4)
    # 9 lies 6 from the mean of its three; then 0, 3 from it.
    assert filled[2] == 1 and filled.tolist().count(3) == 1
    assert np.bincount(filled, minlength=4).min() == 1
    assert labels.tolist() == [0, 0, 0, 2, 2], 'the argument was changed'


def test_fewer_points_than_clusters_are_refused():
    with pytest.raises(ValueError, match='5 clusters .* found 4'):
        cluster(np.zeros((4, 2)), 5, seed=0)
