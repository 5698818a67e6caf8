"""YuNet in OpenCV: five landmarks on every supported Python, with one model file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fdsr.landmarks.base import FaceLandmarks, FoundFace, LandmarkDetector, check_image
from fdsr.landmarks.views import Box, overlap, padded, windows
from fdsr.landmarks.yunet_model import SIDE, load_yunet
from fdsr.registry import LANDMARKS

#: Minimum side of a window, which limits the upsampling to a factor of two.
_SMALLEST_WINDOW = SIDE // 2


class _Candidate(NamedTuple):
    score: float
    box: Box
    points: np.ndarray


@LANDMARKS.register_module()
class YuNetLandmarks(LandmarkDetector):
    """OpenCV's YuNet (Wu et al. 2023): boxes and five landmarks, on the CPU.

    The input of YuNet is 640 × 640 pixels, the only size that every engine of OpenCV 4
    and 5 accepts for the published file. Images and windows are scaled to fit.
    ``detect_faces`` processes the image without and with a border, because faces that
    fill their image are too large for YuNet, and keeps the more confident detection.
    ``find_faces`` adds windows for small faces in photographs.

    OpenCV's coordinates count from the edge of the image, because in YuNet's training
    labels are scaled together with the image and clipped to [0, width]. The result
    counts from the centre of the first pixel, half a pixel less. OpenCV's right eye is
    the person's, which is the image's left.

    The model is loaded at the first call, in the calling process.

    Args:
        model: path of the model file; default: ``face_detection_yunet_2023mar.onnx`` in
            $FDSR_WEIGHTS or in torch.hub's cache. Other ONNX files need YuNet's
            outputs.
        min_confidence: minimum confidence of a detection, 0 to 1.
        padding: width of the border as a share of the longer side; 0 disables it.
        halvings: number of times ``find_faces`` halves its windows, to at least 320
            pixels.
        min_box: minimum width of a box in ``find_faces``, in pixels.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, model: str | Path | None = None, min_confidence: float = 0.6,
                 padding: float = 0.5, halvings: int = 4, min_box: float = 10) -> None:
        if (not 0 < min_confidence <= 1 or not 0 <= padding <= 2
                or not 0 <= halvings <= 6):
            raise ValueError(
                f'{type(self).__name__}: expected 0 < min_confidence <= 1, 0 <= '
                f'padding <= 2 and 0 <= halvings <= 6, found {min_confidence}, '
                f'{padding} and {halvings}.')
        self.model = model
        self.min_confidence, self.padding = min_confidence, padding
        self.halvings, self.min_box = halvings, min_box
        self._network: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the loaded model, which cannot be pickled."""
        return {**self.__dict__, '_network': None}

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects all faces of an image, the largest first; see the base class.

        Raises:
            FileNotFoundError: the model file is missing; the message names its URL.
            ValueError: the image is not uint8 (H, W, 3), or the file is not YuNet.
        """
        found = merged(self._whole(check_image(image)))
        return sorted((FaceLandmarks(face.points) for face in found),
                      key=lambda face: -face.eye_distance)

    def find_faces(self, image: np.ndarray) -> list[FoundFace]:
        """Detects all faces of a photograph, the largest first; see the base class.

        Raises:
            FileNotFoundError, ValueError: see ``detect_faces``.
        """
        found = self._whole(check_image(image))
        for window in windows(image.shape, self.halvings, _SMALLEST_WINDOW)[1:]:
            found += self._in_window(image, window)
        wide = [face for face in found if face.box[2] - face.box[0] >= self.min_box]
        faces = [FoundFace(face.box, FaceLandmarks(face.points))
                 for face in merged(wide)]
        return sorted(faces, key=lambda face: face.box[0] - face.box[2])

    def _whole(self, image: np.ndarray) -> list[_Candidate]:
        """Returns the detections in the whole image, without and with a border."""
        found = list(self._look(image, SIDE, 0))
        if self.padding:
            found += self._look(image, int(SIDE / (1 + 2 * self.padding)), self.padding)
        return found

    def _in_window(self, image: np.ndarray,
                   window: tuple[int, int, int, int]) -> Iterator[_Candidate]:
        """Yields the detections in a window, in pixels of the image.

        A face with landmarks outside of the window is dropped, because another window
        contains all of it.
        """
        x1, y1, x2, y2 = window
        size = np.array([x2 - x1, y2 - y1])
        for face in self._look(image[y1:y2, x1:x2], SIDE, 0):
            if (face.points >= -0.5).all() and (face.points <= size - 0.5).all():
                left, top, right, bottom = face.box
                yield _Candidate(
                    face.score, (left + x1, top + y1, right + x1, bottom + y1),
                    face.points + np.array([x1, y1], np.float32))

    def _look(self, image: np.ndarray, side: int,
              padding: float) -> Iterator[_Candidate]:
        """Yields the detections in an image whose longer side is scaled to ``side``."""
        if self._network is None:
            self._network = load_yunet(self.model, self.min_confidence)
        scaled = scaled_to(image, side)
        scale = np.array(scaled.shape[1::-1]) / image.shape[1::-1]
        seen, border = padded(scaled, padding)
        seen = seen[:SIDE, :SIDE]
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        canvas[:seen.shape[0], :seen.shape[1]] = seen[..., ::-1]  # OpenCV takes BGR
        for row in self._network(canvas).astype(np.float64):
            pairs = row[:14].reshape(7, 2)  # corner, size, five points
            pairs[1] += pairs[0]
            pairs = (pairs - border) / scale
            if np.isfinite(row).all():
                yield _Candidate(float(row[14]), tuple(pairs[:2].ravel().tolist()),
                                 (pairs[2:] - 0.5).astype(np.float32))


@LANDMARKS.register_module()
class YuNetPhotoLandmarks(YuNetLandmarks):
    """YuNet for photographs: ``detect_faces`` also searches windows.

    Args: see ``YuNetLandmarks``.
    """

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects all faces of a photograph, the largest first."""
        return [face.landmarks for face in self.find_faces(image)]


def merged(found: list[_Candidate]) -> list[_Candidate]:
    """Returns the most confident detection of each face."""
    kept: list[_Candidate] = []
    for face in sorted(found, key=lambda face: -face.score):
        if not any(overlap(face.box, other.box) for other in kept):
            kept.append(face)
    return kept


def scaled_to(image: np.ndarray, side: int) -> np.ndarray:
    """Scales an image so that its longer side is ``side`` pixels long."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=(
        cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC))
