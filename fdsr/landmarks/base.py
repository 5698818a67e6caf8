"""What every landmark detector takes and returns."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

from fdsr.geometry.components import (
    boxes_from_68_points,
    boxes_from_five_points,
    five_points_from_68,
)


@dataclass(frozen=True)
class FaceLandmarks:
    """The five points of one face.

    Args:
        points: float32 (5, 2), x then y in pixels, (0, 0) being the centre of the top
            left pixel: left eye, right eye, nose tip, left and right mouth corner,
            where left is the image's left.
    """

    points: np.ndarray

    @property
    def eye_distance(self) -> float:
        """Distance of the eyes in pixels."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))

    def box(self) -> Tuple[float, float, float, float]:
        """A square from about the brows to the chin, in pixels: x1, y1, x2, y2."""
        x, y = self.points.mean(axis=0).tolist()
        half = self.eye_distance
        return (x - half, y - half, x + half, y + half)

    def loose_box(self) -> Tuple[float, float, float, float]:
        """A box from brows to chin like those of VGGFace2's CSV: x, y, w, h in pixels.

        In distances of the eyes it is 2.26 wide and 2.63 high, its centre 0.10 above
        the points' mean: the means over 2,211 faces whose boxes came of a face mesh.
        """
        x, y = self.points.mean(axis=0).tolist()
        width, height, lift = (share * self.eye_distance for share in (2.26, 2.63, 0.1))
        return (x - width / 2, y - lift - height / 2, width, height)

    def component_boxes(self, side: int) -> np.ndarray:
        """Boxes of the facial components, see ``boxes_from_five_points``.

        Args:
            side: of the square image.

        Returns:
            (4, 4) float32.
        """
        return boxes_from_five_points(self.points, side)


@dataclass(frozen=True)
class FaceLandmarks68(FaceLandmarks):
    """A face of which 68 points are known, and boxes by DFDNet's own formula.

    Args:
        points: the five of them, see the base class.
        all_points: float32 (68, 2), in the order of iBUG's 300-W.
    """

    all_points: np.ndarray

    @classmethod
    def of(cls, all_points: np.ndarray) -> 'FaceLandmarks68':
        """The face of 68 points.

        Raises:
            ValueError: they are not (68, 2).
        """
        points = np.asarray(all_points, np.float32)
        return cls(five_points_from_68(points), points)

    def component_boxes(self, side: int) -> np.ndarray:
        """Boxes of the facial components, see ``boxes_from_68_points``."""
        return boxes_from_68_points(self.all_points, side)


@dataclass(frozen=True)
class FoundFace:
    """A face in a photograph, with its landmarks if they could be found.

    Args:
        box: (x1, y1, x2, y2) in pixels, about from the brows to the chin.
        landmarks: None for a face that is too small, turned or blurred for them.
    """

    box: Tuple[float, float, float, float]
    landmarks: Optional[FaceLandmarks]


class LandmarkDetector(ABC):
    """Finds five points in images.

    A detector of one's own inherits from this, is registered in
    ``fdsr.registry.LANDMARKS`` and implements :meth:`detect_faces`.
    """

    @abstractmethod
    def detect_faces(self, image: np.ndarray) -> List[FaceLandmarks]:
        """All faces of an image, the largest first.

        Args:
            image: uint8 (H, W, 3) RGB.
        """

    def find_faces(self, image: np.ndarray) -> List[FoundFace]:
        """All faces of a photograph, also those whose landmarks cannot be told.

        A detector that finds faces before landmarks overrides this; else it is what
        ``detect_faces`` finds.

        Args:
            image: uint8 (H, W, 3) RGB.
        """
        return [FoundFace(face.box(), face)
                for face in self.detect_faces(check_image(image))]

    def detect(self, images: Sequence[np.ndarray]) -> List[Optional[FaceLandmarks]]:
        """The largest face of each image, None where none is found.

        Args:
            images: uint8 (H, W, 3) RGB each.

        Raises:
            ValueError: an image has another type or shape.
        """
        return [next(iter(self.detect_faces(check_image(image))), None)
                for image in images]


def check_image(image: np.ndarray) -> np.ndarray:
    """Returns an image that is uint8 RGB.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or (
            image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape):
        found = (f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray)
                 else f'a {type(image).__name__}')
        raise ValueError(
            f'Landmarks are found in uint8 images (H, W, 3), RGB; found {found}. '
            "With PIL: numpy.asarray(image.convert('RGB')).")
    return image
