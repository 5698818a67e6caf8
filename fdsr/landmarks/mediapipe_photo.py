"""Detection of all faces in a photograph with MediaPipe."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fdsr.landmarks.base import FaceLandmarks, FoundFace, LandmarkDetector, check_image
from fdsr.landmarks.mediapipe import MediaPipeLandmarks, load_solution
from fdsr.landmarks.orientation import face_in_box
from fdsr.landmarks.views import (
    Box,
    bounded,
    distinct,
    is_same_face,
    near,
    overlap,
    windows,
)
from fdsr.registry import LANDMARKS


class _Candidate(NamedTuple):
    score: float
    box: Box


@LANDMARKS.register_module()
class MediaPipePhotoLandmarks(LandmarkDetector):
    """MediaPipe's full-range detector in windows, then Face Mesh on each face.

    The input of the detector (BlazeFace, full range) has 192 × 192 pixels, so a face
    must fill about a sixth of it. The detector runs on the photograph, then on windows
    of half its longer side that overlap by a half, on windows of a quarter, and so on.
    Duplicate detections are merged. Each face is cropped, upsampled and passed to
    ``MediaPipeLandmarks``, in doubt in several rotations; if that fails, the face has
    no landmarks.

    Args:
        min_confidence: minimum confidence of the detector, 0 to 1.
        min_box: minimum width of a box in pixels. Smaller detections are often buttons
            or foliage.
        halvings: number of times the windows are halved; 4 finds faces down to about a
            hundredth of the longer side, with at most 1,200 windows of 5 ms each.
        landmarks: arguments of ``MediaPipeLandmarks``.

    Raises:
        ValueError: an argument is out of range.
    """

    check_orientation = False

    def __init__(self, min_confidence: float = 0.5, min_box: float = 10,
                 halvings: int = 4, landmarks: dict[str, Any] | None = None) -> None:
        if not 0 < min_confidence <= 1 or not 0 <= halvings <= 6:
            raise ValueError(
                'MediaPipePhotoLandmarks: expected 0 < min_confidence <= 1 and 0 <= '
                f'halvings <= 6, found {min_confidence} and {halvings}.')
        self.min_confidence, self.min_box = min_confidence, min_box
        self.halvings = halvings
        self.landmarks = MediaPipeLandmarks(**(landmarks or {}))
        self._detector: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the loaded model, which cannot be pickled."""
        return {**self.__dict__, '_detector': None}

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects the faces with landmarks, the largest first."""
        return [face.landmarks for face in self.find_faces(image)
                if face.landmarks is not None]

    def find_faces(self, image: np.ndarray) -> list[FoundFace]:
        """Detects all faces, the largest first; see the base class.

        Raises:
            ImportError: mediapipe is not installed, or has no models.
            ValueError: the image is not uint8 (H, W, 3).
        """
        image = check_image(image)
        found = distinct((FoundFace(box, face_in_box(self.landmarks, image, box))
                          for _, box in self._candidates(image)), is_same_face)
        sure = [face.box for face in found if face.landmarks is not None]
        found = [face for face in found if face.landmarks is not None
                 or not any(near(face.box, box) for box in sure)]
        return sorted(found, key=lambda face: face.box[0] - face.box[2])

    def _candidates(self, image: np.ndarray) -> list[_Candidate]:
        """Returns the merged detections of all windows, the most confident first."""
        found = [candidate for window in windows(image.shape, self.halvings)
                 for candidate in self._in_window(image, window)]
        return distinct(sorted(found, reverse=True),
                        lambda one, other: overlap(one.box, other.box))

    def _in_window(self, image: np.ndarray,
                   window: tuple[int, int, int, int]) -> Iterator[_Candidate]:
        if self._detector is None:
            self._detector = load_solution(
                'face_detection', 'FaceDetection', model_selection=1,
                min_detection_confidence=self.min_confidence)
        x1, y1, x2, y2 = window
        crop = np.ascontiguousarray(bounded(image[y1:y2, x1:x2]))
        for face in self._detector.process(crop).detections or []:
            box = face.location_data.relative_bounding_box
            if box.width * (x2 - x1) < self.min_box:
                continue
            left, top = x1 + box.xmin * (x2 - x1), y1 + box.ymin * (y2 - y1)
            yield _Candidate(face.score[0], (
                left, top, left + box.width * (x2 - x1), top + box.height * (y2 - y1)))
