"""Google's Face Mesh, whose models come inside the package mediapipe."""

from typing import Any, Dict, List

import numpy as np

from fdsr.landmarks.base import FaceLandmarks, LandmarkDetector, check_image
from fdsr.landmarks.native_log import without_native_log
from fdsr.landmarks.views import enlarged, padded
from fdsr.registry import LANDMARKS

#: Of Face Mesh's 478 points: the two irises' centres, nose tip, mouth corners.
_FIVE_POINTS = (468, 473, 1, 61, 291)


@LANDMARKS.register_module()
class MediaPipeLandmarks(LandmarkDetector):
    """MediaPipe Face Mesh with irises (Kartynnik et al. 2019), on the CPU.

    Small images are upsampled. Where no face is found, the image is continued
    beyond its border and looked at again: a face that fills its image, as in HR and
    SR crops, is too near for the detector, which wants to see what is around it.
    Models are read at the first call, in the process that calls.

    Args:
        min_confidence: of the face detector, 0 to 1.
        max_faces: look for that many; the detector finds the clearest first, so look
            for several to get the largest.
        min_side: upsample images whose shorter side is smaller, by PIL's bicubic.
        padding: how far the image is continued on each side for the second look, as
            a share of its longer side, repeating the outermost pixels; 0 for none.

    Raises:
        ValueError: an argument is out of its range.
    """

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

    def __getstate__(self) -> Dict[str, Any]:
        """Without the running models, which cannot go to another process."""
        return {**self.__dict__, '_mesh': None, '_has_found': False}

    def detect_faces(self, image: np.ndarray) -> List[FaceLandmarks]:
        """All faces of an image, the largest first; see the base class.

        Raises:
            ImportError: mediapipe is absent, or a release without models.
            ValueError: the image is not uint8 (H, W, 3).
        """
        image, factor = enlarged(check_image(image), self.min_side)
        faces = self._found(image, 0, factor)
        if not faces:
            continued, border = padded(image, self.padding)
            faces = self._found(continued, border, factor) if border else []
        return sorted(faces, key=lambda face: -face.eye_distance)

    def _found(self, image: np.ndarray, border: int,
               factor: float) -> List[FaceLandmarks]:
        """The faces, in pixels of the image without border and factor."""
        size = np.array([image.shape[1], image.shape[0]])
        faces = []
        for face in self._process(image):
            shares = np.array([(face.landmark[index].x, face.landmark[index].y)
                               for index in _FIVE_POINTS])
            # shares count from the image's edge, pixels from the first one's centre
            points = (shares * size - border) / factor - 0.5
            faces.append(FaceLandmarks(points.astype(np.float32)))
        return faces

    def _process(self, image: np.ndarray) -> List[Any]:
        models = self._models()
        if self._has_found:
            return models.process(image).multi_face_landmarks or []
        with without_native_log():
            faces = models.process(image).multi_face_landmarks or []
        self._has_found = bool(faces)
        return faces

    def _models(self) -> Any:
        if self._mesh is None:
            try:
                with without_native_log():
                    from mediapipe.python.solutions.face_mesh import FaceMesh
            except ImportError as error:
                raise ImportError(
                    'MediaPipeLandmarks needs the package mediapipe in a release that '
                    'carries its models: pip install "fdsr[landmarks]" '
                    '(mediapipe==0.10.21).') from error
            with without_native_log():
                self._mesh = FaceMesh(
                    static_image_mode=True, max_num_faces=self.max_faces,
                    refine_landmarks=True,
                    min_detection_confidence=self.min_confidence)
                self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        return self._mesh
