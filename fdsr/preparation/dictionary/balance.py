"""Sampling of faces for a dictionary with a uniform distribution of poses."""

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Edges of the bins of ``yaw_of``: about ±14 and ±32 degrees if the tip of the nose is
#: 0.4 eye distances in front of the eyes.
POSE_EDGES: tuple[float, ...] = (-0.25, -0.10, 0.10, 0.25)


@dataclass(frozen=True)
class PoseSample:
    """Faces sampled by pose.

    Args:
        indices: sorted indices of the faces.
        available: number of faces in each bin, from image-left to image-right.
        drawn: number of sampled faces in each bin.
    """

    indices: np.ndarray
    available: list[int]
    drawn: list[int]

    def facts(self) -> dict[str, Any]:
        """Returns plain values for the file of the dictionary."""
        return dict(edges=list(POSE_EDGES), available=self.available, drawn=self.drawn)


def yaw_of(landmarks: np.ndarray) -> np.ndarray:
    """Estimates the yaw of a head from five landmarks.

    With e the vector from the image-left to the image-right eye and m the midpoint of
    the eyes, the estimate is ⟨nose − m, e⟩ / ⟨e, e⟩: the offset of the nose along the
    line of the eyes in eye distances. It is 0 for a centred nose, −0.5 below the
    image-left eye and 0.5 below the image-right eye, and invariant to similarities.

    Args:
        landmarks: (..., 5, 2).

    Returns:
        (...,); NaN where the eyes coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    eyes = points[..., 1, :] - points[..., 0, :]
    nose = points[..., 2, :] - (points[..., 0, :] + points[..., 1, :]) / 2
    square = (eyes**2).sum(axis=-1)
    return (nose * eyes).sum(axis=-1) / np.where(square > 0, square, np.nan)


def sample_by_pose(landmarks: np.ndarray, num_faces: int, seed: int) -> PoseSample:
    """Samples the same number of faces from each bin of ``POSE_EDGES``.

    Bins with fewer faces contribute all of them, and the others the remainder.

    Args:
        landmarks: (N, 5, 2) of all faces; NaN for faces that cannot be used.
        num_faces: number of faces; all usable faces if there are fewer.
        seed: seed of the sample.
    """
    yaw = yaw_of(landmarks)
    usable = np.flatnonzero(np.isfinite(yaw))
    bins = np.digitize(yaw[usable], POSE_EDGES)
    available = np.bincount(bins, minlength=len(POSE_EDGES) + 1)
    drawn = even_shares(available, num_faces)
    generator = np.random.default_rng(seed)
    chosen = [generator.choice(usable[bins == number], share, replace=False)
              for number, share in enumerate(drawn)]
    return PoseSample(
        np.sort(np.concatenate(chosen)), available.tolist(), drawn.tolist())


def even_shares(available: np.ndarray, total: int) -> np.ndarray:
    """Distributes a total over bins as evenly as possible.

    Args:
        available: (bins,) maximum of each bin.
        total: the total; at most the sum of ``available`` is used.

    Returns:
        (bins,); the middle bins receive the remainder first.
    """
    available = np.asarray(available)
    shares = np.zeros_like(available)
    middle = (len(available) - 1) / 2
    order = np.argsort(np.abs(np.arange(len(available)) - middle), kind='stable')
    left = min(total, int(available.sum()))
    while left:
        open_bins = [number for number in order if shares[number] < available[number]]
        step = max(1, left // len(open_bins))
        for number in open_bins:
            more = min(step, available[number] - shares[number], left)
            shares[number] += more
            left -= int(more)
    return shares


def landmarks_of(dataset: Any) -> np.ndarray:
    """Returns the landmarks (N, 5, 2) of a dataset, NaN for unusable faces.

    ``dataset.all_landmarks()`` is used if it exists. Otherwise each face is loaded.
    """
    if hasattr(dataset, 'all_landmarks'):
        return np.asarray(dataset.all_landmarks(), dtype=np.float32)
    points = np.full((len(dataset), 5, 2), np.nan, dtype=np.float32)
    for index in range(len(dataset)):
        item = dataset[index]
        if item is not None:
            points[index] = item['landmarks']
    return points
