"""MediaPipe's Face Mesh, with the models inside of the package mediapipe."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from fdsr.landmarks.base import (
    FaceLandmarks,
    FaceLandmarks68,
    LandmarkDetector,
    check_image,
)
from fdsr.landmarks.native_log import without_native_log
from fdsr.landmarks.views import enlarged, padded
from fdsr.registry import LANDMARKS

#: Indices in the 478 points of Face Mesh: centres of the irises, nose tip, mouth
#: corners.
_FIVE_POINTS = (468, 473, 1, 61, 291)
#: Those of the 68 landmarks: jaw, brows, nose, eyes, outer lips, inner lips.
_POINTS_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 1, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87)
_GRAPH = 'mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb'


@LANDMARKS.register_module()
class MediaPipeLandmarks(LandmarkDetector):
    """MediaPipe Face Mesh with irises (Kartynnik et al. 2019), on the CPU.

    Small images are upsampled. If no face is found, the detector runs again on the
    padded image, because a face that fills its image, as in HR and SR crops, is too
    large for it. Models are loaded at the first call, in the calling process.

    Args:
        min_confidence: minimum confidence of the face detector, 0 to 1.
        max_faces: maximum number of faces. The detector sorts by confidence, so that
            several are needed to get the largest.
        min_side: upsample images with a smaller shorter side by PIL's bicubic.
        padding: width of the border of the second attempt as a share of the longer
            side, filled with the outermost pixels; 0 disables it.

    The confidence of a face is that of the face detector (BlazeFace). Of 600 portraits
    and their crops, 97 % reach ``sure_score`` when upright and none upside-down.

    Raises:
        ValueError: an argument is out of range.
    """

    sure_score = 0.88

    def __init__(self, min_confidence: float = 0.5, max_faces: int = 3,
                 min_side: int = 256, padding: float = 0.5) -> None:
        if not 0 < min_confidence <= 1 or max_faces < 1 or not 0 <= padding <= 2:
            raise ValueError(
                'MediaPipeLandmarks: expected 0 < min_confidence <= 1, max_faces >= 1 '
                f'and 0 <= padding <= 2, found {min_confidence}, {max_faces} and '
                f'{padding}.')
        self.min_confidence, self.max_faces = min_confidence, max_faces
        self.min_side, self.padding = min_side, padding
        self._mesh: Any = None
        self._has_found = False

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the loaded models, which cannot be pickled."""
        return {**self.__dict__, '_mesh': None, '_has_found': False}

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects all faces of an image, the largest first; see the base class.

        Raises:
            ImportError: mediapipe is not installed, or has no models.
            ValueError: the image is not uint8 (H, W, 3).
        """
        image, factor = enlarged(check_image(image), self.min_side)
        faces = self._found(image, 0, factor)
        if not faces:
            continued, border = padded(image, self.padding)
            faces = self._found(continued, border, factor) if border else []
        return sorted(faces, key=lambda face: -face.eye_distance)

    def _found(self, image: np.ndarray, border: int,
               factor: float) -> list[FaceLandmarks]:
        """Returns the faces in pixels of the original image."""
        size = np.array([image.shape[1], image.shape[0]])
        faces = []
        found = self._process(image)
        for face in found.multi_face_landmarks or []:
            places = np.array([(point.x, point.y) for point in face.landmark]) * size
            score = _score_of(
                places[list(_FIVE_POINTS[:2])], found.face_detections or [], size)
            # shares count from the edge, pixels from the centre of the first pixel
            faces.append(self._landmarks((places - border) / factor - 0.5, score))
        return faces

    def _landmarks(self, points: np.ndarray, score: float | None) -> FaceLandmarks:
        """Returns the landmarks of a face from the 478 points of its mesh."""
        return FaceLandmarks(points[list(_FIVE_POINTS)].astype(np.float32), score=score)

    def _process(self, image: np.ndarray) -> Any:
        if self._mesh is None:
            # FaceMesh for single images, with the confidences as a second output
            self._mesh = load_solution(
                'face_mesh', 'SolutionBase', binary_graph_path=_GRAPH,
                side_inputs=dict(num_faces=self.max_faces, with_attention=True,
                                 use_prev_landmarks=False),
                calculator_params={
                    'facedetectionshortrangecpu__facedetectionshortrange__facedetection'
                    '__TensorsToDetectionsCalculator.min_score_thresh':
                        self.min_confidence,
                    'facelandmarkcpu__ThresholdingCalculator.threshold': 0.5},
                outputs=['multi_face_landmarks', 'face_detections'])
        if self._has_found:
            return self._mesh.process(image)
        with without_native_log():
            found = self._mesh.process(image)
        self._has_found = bool(found.multi_face_landmarks)
        return found


@LANDMARKS.register_module()
class MediaPipe68Landmarks(MediaPipeLandmarks):
    """MediaPipe Face Mesh, reduced to the 68 landmarks of iBUG's 300-W.

    Each landmark is the point of the mesh nearest to its definition; those of the jaw
    lie on the outline of the mesh, not on the visible contour of a turned face.

    Args:
        **kwargs: arguments of ``MediaPipeLandmarks``.
    """

    def _landmarks(self, points: np.ndarray, score: float | None) -> FaceLandmarks:
        return replace(FaceLandmarks68.of(points[list(_POINTS_68)]), score=score)


def _score_of(eyes: np.ndarray, detections: Sequence[Any],
              size: np.ndarray) -> float | None:
    """Returns the confidence of the detection whose eyes are nearest, or None."""
    def distance(detection: Any) -> float:
        points = detection.location_data.relative_keypoints[:2]
        return float(np.linalg.norm(
            np.array([(point.x, point.y) for point in points]) * size - eyes))

    if not detections:
        return None
    return float(min(detections, key=distance).score[0])


def load_solution(module: str, name: str, **options: Any) -> Any:
    """Loads a model of MediaPipe without the output of its native log.

    Args:
        module: module in ``mediapipe.python.solutions``.
        name: class in the module.
        **options: arguments of the class.

    Raises:
        ImportError: mediapipe is not installed, or has no models.
    """
    with without_native_log():
        try:
            solution = import_module(f'mediapipe.python.solutions.{module}')
        except ImportError as error:
            raise ImportError(
                'The detector needs a release of the package mediapipe with models: '
                'pip install "fdsr[landmarks]" (mediapipe==0.10.21).') from error
        model = getattr(solution, name)(**options)
        model.process(np.zeros((64, 64, 3), np.uint8))
    return model
