"""Interface of all landmark detectors."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Sequence

import numpy as np

from fdsr.geometry.components import (
    boxes_from_68_points,
    boxes_from_five_points,
    five_points_from_68,
)


@dataclass(frozen=True)
class FaceLandmarks:
    """Five landmarks of one face.

    Args:
        points: float32 (5, 2), x then y in pixels; (0, 0) is the centre of the top left
            pixel. Image-left eye, image-right eye, nose tip, image-left and image-right
            mouth corner.
        score: the detector's confidence in the face, 0 to 1; None if it has none.
    """

    points: np.ndarray
    score: float | None = field(default=None, kw_only=True)

    @property
    def eye_distance(self) -> float:
        """Eye distance in pixels."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))

    def transformed(self, matrix: np.ndarray) -> 'FaceLandmarks':
        """Returns the face in other pixels.

        Args:
            matrix: (2, 3), from these pixels to the others.
        """
        return replace(self, points=_transformed(self.points, matrix))

    def box(self) -> tuple[float, float, float, float]:
        """Returns a square from the brows to the chin in pixels: x1, y1, x2, y2."""
        x, y = self.points.mean(axis=0).tolist()
        half = self.eye_distance
        return (x - half, y - half, x + half, y + half)

    def loose_box(self) -> tuple[float, float, float, float]:
        """Returns a box like those in VGGFace2's CSV: x, y, w, h in pixels.

        In units of the eye distance it is 2.26 wide and 2.63 high, and its centre is
        0.10 above the mean of the points (averages over the face meshes of 2,211
        faces).
        """
        x, y = self.points.mean(axis=0).tolist()
        width, height, lift = (share * self.eye_distance for share in (2.26, 2.63, 0.1))
        return (x - width / 2, y - lift - height / 2, width, height)

    def component_boxes(self, side: int) -> np.ndarray:
        """Returns the component boxes, (4, 4) float32, see ``boxes_from_five_points``.

        Args:
            side: side of the square image.
        """
        return boxes_from_five_points(self.points, side)


@dataclass(frozen=True)
class FaceLandmarks68(FaceLandmarks):
    """Face with 68 landmarks, whose component boxes follow DFDNet's formula.

    Args:
        points: the five landmarks of the base class.
        all_points: float32 (68, 2), in the order of iBUG's 300-W.
    """

    all_points: np.ndarray

    @classmethod
    def of(cls, all_points: np.ndarray) -> 'FaceLandmarks68':
        """Builds a face from 68 landmarks.

        Raises:
            ValueError: the shape is not (68, 2).
        """
        points = np.asarray(all_points, np.float32)
        return cls(five_points_from_68(points), points)

    def transformed(self, matrix: np.ndarray) -> 'FaceLandmarks68':
        """Returns the face in other pixels, see the base class."""
        return replace(self, points=_transformed(self.points, matrix),
                       all_points=_transformed(self.all_points, matrix))

    def component_boxes(self, side: int) -> np.ndarray:
        """Returns the component boxes, (4, 4) float32, see ``boxes_from_68_points``."""
        return boxes_from_68_points(self.all_points, side)


@dataclass(frozen=True)
class FoundFace:
    """Face in a photograph, with or without landmarks.

    Args:
        box: (x1, y1, x2, y2) in pixels, from about the brows to the chin.
        landmarks: None for a face that is too small, rotated or blurred.
    """

    box: tuple[float, float, float, float]
    landmarks: FaceLandmarks | None


class LandmarkDetector(ABC):
    """Base class of landmark detectors.

    A subclass implements :meth:`detect_faces` and is registered in
    ``fdsr.registry.LANDMARKS``. It may assume upright faces. Where the orientation is
    unknown, ``fdsr.landmarks.orientation`` also runs it on rotated copies.

    Attributes:
        sure_score: confidence that only upright faces reach, so that rotated copies
            are not needed; None if unknown.
        check_orientation: False if rotated copies are not needed, because the detector
            uses them itself.
    """

    sure_score: float | None = None
    check_orientation = True

    @abstractmethod
    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects all faces of an image, the largest first.

        Args:
            image: uint8 (H, W, 3) RGB.
        """

    def find_faces(self, image: np.ndarray) -> list[FoundFace]:
        """Detects all faces of a photograph, including faces without landmarks.

        The default returns the result of ``detect_faces``. Detectors that find faces
        before landmarks override it.

        Args:
            image: uint8 (H, W, 3) RGB.
        """
        return [FoundFace(face.box(), face)
                for face in self.detect_faces(check_image(image))]

    def detect(self, images: Sequence[np.ndarray]) -> list[FaceLandmarks | None]:
        """Returns the largest face of each image, or None.

        Args:
            images: uint8 (H, W, 3) RGB each.

        Raises:
            ValueError: an image has another dtype or shape.
        """
        return [next(iter(self.detect_faces(check_image(image))), None)
                for image in images]


def _transformed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def check_image(image: np.ndarray) -> np.ndarray:
    """Checks that an image is uint8 (H, W, 3) and returns it.

    Raises:
        ValueError: the image has another dtype or shape.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or (
            image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape):
        found = (f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray)
                 else f'a {type(image).__name__}')
        raise ValueError(
            f'Landmark detectors expect uint8 images (H, W, 3), RGB; found {found}. '
            "With PIL: numpy.asarray(image.convert('RGB')).")
    return image
