"""Finding every face of a photograph, small ones too."""

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from fdsr.landmarks.base import FaceLandmarks, FoundFace, LandmarkDetector, check_image
from fdsr.landmarks.mediapipe import MediaPipeLandmarks
from fdsr.landmarks.native_log import without_native_log
from fdsr.landmarks.views import Box, is_same_face, near, overlap, windows
from fdsr.registry import LANDMARKS

#: Of a face's box, what is cut out around it for Face Mesh.
_SURROUNDINGS = 2.0


class _Candidate(NamedTuple):
    score: float
    box: Box


@LANDMARKS.register_module()
class MediaPipePhotoLandmarks(LandmarkDetector):
    """MediaPipe's full-range detector in windows, then Face Mesh on each face.

    The detector (BlazeFace, full range) looks at 192 × 192 pixels, so a face has to
    fill about a sixth of what it is shown. It is shown the photograph, then windows of
    half its longer side that overlap by a half, of a quarter, and so on; what is found
    more than once is merged. Each face is then cut out, upsampled and given to
    ``MediaPipeLandmarks``; where that finds nothing, the face has no landmarks.

    Args:
        min_confidence: of the detector, 0 to 1.
        min_box: leave out what is narrower, in pixels, brows to chin: at that size the
            detector sees faces in buttons and foliage.
        halvings: how often windows are halved; 4 finds faces down to about a hundredth
            of the photograph's longer side, and shows at most some 1,200 windows, of
            5 ms each.
        landmarks: arguments of ``MediaPipeLandmarks``.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, min_confidence: float = 0.5, min_box: float = 10,
                 halvings: int = 4, landmarks: Optional[Dict[str, Any]] = None) -> None:
        if not 0 < min_confidence <= 1 or not 0 <= halvings <= 6:
            raise ValueError(
                'MediaPipePhotoLandmarks: expected 0 < min_confidence <= 1 and 0 <= '
                f'halvings <= 6, found {min_confidence} and {halvings}.')
        self.min_confidence, self.min_box = min_confidence, min_box
        self.halvings = halvings
        self.landmarks = MediaPipeLandmarks(**(landmarks or {}))
        self._detector: Any = None

    def __getstate__(self) -> Dict[str, Any]:
        """Without the running models, which cannot go to another process."""
        return {**self.__dict__, '_detector': None}

    def detect_faces(self, image: np.ndarray) -> List[FaceLandmarks]:
        """The faces whose landmarks were found, the largest first."""
        return [face.landmarks for face in self.find_faces(image)
                if face.landmarks is not None]

    def find_faces(self, image: np.ndarray) -> List[FoundFace]:
        """All faces, the largest first; see the base class.

        Raises:
            ImportError: mediapipe is absent, or a release without models.
            ValueError: the image is not uint8 (H, W, 3).
        """
        image = check_image(image)
        found: List[FoundFace] = []
        for candidate in self._candidates(image):
            face = FoundFace(candidate.box, self._landmarks_of(image, candidate.box))
            if not any(is_same_face(face, other) for other in found):
                found.append(face)
        sure = [face.box for face in found if face.landmarks is not None]
        found = [face for face in found if face.landmarks is not None
                 or not any(near(face.box, box) for box in sure)]
        return sorted(found, key=lambda face: face.box[0] - face.box[2])

    def _candidates(self, image: np.ndarray) -> List[_Candidate]:
        """What the detector finds in any window, the surest first, merged."""
        found = [candidate for window in windows(image.shape, self.halvings)
                 for candidate in self._in_window(image, window)]
        kept: List[_Candidate] = []
        for candidate in sorted(found, reverse=True):
            if not any(overlap(candidate.box, other.box) for other in kept):
                kept.append(candidate)
        return kept

    def _in_window(self, image: np.ndarray,
                   window: Tuple[int, int, int, int]) -> Iterator[_Candidate]:
        x1, y1, x2, y2 = window
        part = np.ascontiguousarray(image[y1:y2, x1:x2])
        for face in self._model().process(part).detections or []:
            box = face.location_data.relative_bounding_box
            if box.width * (x2 - x1) < self.min_box:
                continue
            left, top = x1 + box.xmin * (x2 - x1), y1 + box.ymin * (y2 - y1)
            yield _Candidate(face.score[0], (
                left, top, left + box.width * (x2 - x1), top + box.height * (y2 - y1)))

    def _landmarks_of(self, image: np.ndarray, box: Box) -> Optional[FaceLandmarks]:
        """Of the face nearest to a box's centre, None if there is none inside it."""
        centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        half = _SURROUNDINGS / 2 * max(box[2] - box[0], box[3] - box[1])
        x1, y1 = np.maximum(np.floor(centre - half), 0).astype(int)
        x2, y2 = np.minimum(np.ceil(centre + half), image.shape[1::-1]).astype(int)
        if min(x2 - x1, y2 - y1) < 2:
            return None
        part = np.ascontiguousarray(image[y1:y2, x1:x2])
        faces = [FaceLandmarks(face.points + np.array([x1, y1], np.float32))
                 for face in self.landmarks.detect_faces(part)]
        distances = [np.abs(face.points.mean(axis=0) - centre).max() for face in faces]
        if not faces or min(distances) > half / _SURROUNDINGS:
            return None
        return faces[int(np.argmin(distances))]

    def _model(self) -> Any:
        if self._detector is None:
            try:
                with without_native_log():
                    from mediapipe.python.solutions.face_detection import FaceDetection
            except ImportError as error:
                raise ImportError(
                    'MediaPipePhotoLandmarks needs the package mediapipe in a release '
                    'that carries its models: pip install "fdsr[landmarks]" '
                    '(mediapipe==0.10.21).') from error
            with without_native_log():
                self._detector = FaceDetection(
                    model_selection=1, min_detection_confidence=self.min_confidence)
                self._detector.process(np.zeros((64, 64, 3), np.uint8))
        return self._detector
