"""Which faces a dictionary is built of: drawn evenly over how far heads are turned."""

from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np

#: Borders of the bins of ``yaw_of``. If the tip of the nose stands 0.4 eye distances
#: before the eyes, they are at about 14 and 32 degrees to either side.
POSE_EDGES: Tuple[float, ...] = (-0.25, -0.10, 0.10, 0.25)


@dataclass(frozen=True)
class PoseSample:
    """Faces drawn by pose.

    Args:
        indices: of the faces, rising.
        available: how many faces of the dataset are in each bin, the one turned
            farthest to the image's left first.
        drawn: how many of them were taken.
    """

    indices: np.ndarray
    available: List[int]
    drawn: List[int]

    def facts(self) -> Dict[str, Any]:
        """Plain values for the dictionary's file."""
        return dict(edges=list(POSE_EDGES), available=self.available, drawn=self.drawn)


def yaw_of(landmarks: np.ndarray) -> np.ndarray:
    """How far a head is turned to the side, from its five points.

    With e the vector from the image-left to the image-right eye and m the middle of
    the eyes, ⟨nose − m, e⟩ / ⟨e, e⟩: the place of the nose between the eyes, along
    their line, in eye distances. 0 where the nose stands in the middle, −0.5 below
    the image-left eye, 0.5 below the right one. Neither size nor place nor a tilted
    head changes it.

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
    """Draws faces so that each bin of ``POSE_EDGES`` gives the same number.

    A bin that has fewer gives all of its faces, and the others share what is missing.

    Args:
        landmarks: (N, 5, 2) of all faces; NaN for one that cannot be used, which is
            in no bin and not drawn.
        num_faces: to draw; all usable ones if there are fewer.
        seed: of the draw.
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
    """How many to take of each bin, as even as what is available allows.

    Args:
        available: (bins,).
        total: to take; all that are available if there are fewer.

    Returns:
        (bins,); what cannot be divided goes to the middle bins first.
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
    """(N, 5, 2) of all faces of a dataset, NaN where one cannot be used.

    A dataset that knows them without its images tells them by
    ``all_landmarks()``; of any other, each face is loaded once and only its points
    are kept.
    """
    if hasattr(dataset, 'all_landmarks'):
        return np.asarray(dataset.all_landmarks(), dtype=np.float32)
    points = np.full((len(dataset), 5, 2), np.nan, dtype=np.float32)
    for index in range(len(dataset)):
        item = dataset[index]
        if item is not None:
            points[index] = item['landmarks']
    return points
