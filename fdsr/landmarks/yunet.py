"""YuNet in OpenCV: five landmarks on every supported Python, with one model file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fdsr.landmarks.base import FaceLandmarks, FoundFace, LandmarkDetector, check_image
from fdsr.landmarks.native_log import without_native_log
from fdsr.landmarks.views import Box, distinct, overlap, padded, rescaled, windows
from fdsr.registry import LANDMARKS
from fdsr.weights.files import WEIGHTS_DIR_VARIABLE, check_sha256, locate
from fdsr.weights.sources import SOURCES

#: Side of YuNet's square input in pixels.
SIDE = 640
#: Values of a detection in OpenCV: box (4), five points (10), score (1).
ROW = 15
_STRIDES = (8, 16, 32)
_CHANNELS = dict(cls=1, obj=1, bbox=4, kps=10)
#: OpenCV's defaults: threshold of the non-maximum suppression, boxes before it.
_SAME, _MOST = 0.3, 5000
#: uint8 (640, 640, 3) BGR to float32 (N, 15), in pixels from the edge of the image.
Network = Callable[[np.ndarray], np.ndarray]
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
        return sorted((FaceLandmarks(face.points, score=face.score) for face in found),
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
        faces = [FoundFace(face.box, FaceLandmarks(face.points, score=face.score))
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
        scaled = rescaled(image, side / max(image.shape[:2]))
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

    Faces must be upright: rotated copies would multiply the number of windows.

    Args: see ``YuNetLandmarks``.
    """

    check_orientation = False

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Detects all faces of a photograph, the largest first."""
        return [face.landmarks for face in self.find_faces(image)]


def merged(found: list[_Candidate]) -> list[_Candidate]:
    """Returns the most confident detection of each face."""
    return distinct(sorted(found, key=lambda face: -face.score),
                    lambda face, other: overlap(face.box, other.box))


def find_yunet() -> Path | None:
    """Returns the path of the published model file, or None."""
    return locate(SOURCES['yunet'])


def how_to_get_yunet() -> str:
    """Returns instructions for getting the model file."""
    source = SOURCES['yunet']
    return (f'download {source.filename} (232,589 bytes, MIT) from {source.url} into '
            f'the folder that ${WEIGHTS_DIR_VARIABLE} names (`{source.get}` in a '
            'checkout does both)')


def model_file(path: str | Path | None) -> Path:
    """Returns the path of a verified model file.

    Args:
        path: path of the file; None: the published file in $FDSR_WEIGHTS or torch.hub's
            cache.

    Raises:
        FileNotFoundError: the file is missing; the message explains how to get it.
        ValueError: the file has the name of the published one and another content, or
            is not named ``*.onnx``.
    """
    source = SOURCES['yunet']
    path = find_yunet() if path is None else Path(path).expanduser()
    if path is None:
        raise FileNotFoundError(
            f'YuNetLandmarks found no {source.filename} in ${WEIGHTS_DIR_VARIABLE} or '
            f'in torch.hub\'s cache: {how_to_get_yunet()}, or pass its path as model.')
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected the model of YuNetLandmarks, found no file. Correct the '
            f'path; or {how_to_get_yunet()}.')
    if path.suffix.lower() != '.onnx':
        raise ValueError(f'{path}: expected a file *.onnx with the model of '
                         f'YuNetLandmarks, for example {source.filename}.')
    if path.name == source.filename:
        check_sha256(path, source.sha256, (
            f'A file of about 130 bytes is a Git LFS pointer: {how_to_get_yunet()}.'))
    return path


def load_yunet(path: str | Path | None, min_confidence: float) -> Network:
    """Loads the model and checks that it has YuNet's outputs.

    Args:
        path: see ``model_file``.
        min_confidence: minimum confidence of detections, 0 to 1.

    Raises:
        FileNotFoundError, ValueError: see ``model_file``; also if OpenCV cannot read
            the file, or its outputs differ.
    """
    path = model_file(path)
    try:
        with without_native_log():
            _check_outputs(path)
            detector = cv2.FaceDetectorYN.create(
                str(path), '', (SIDE, SIDE), min_confidence, _SAME, _MOST)
            detector.detect(np.zeros((SIDE, SIDE, 3), np.uint8))
    except cv2.error as error:
        raise _unusable(path, f'OpenCV {cv2.__version__} reports: {_text(error)}'
                        ) from error

    def detect(image: np.ndarray) -> np.ndarray:
        try:
            rows = detector.detect(image)[1]
        except cv2.error as error:
            raise RuntimeError(
                f'{path}: OpenCV {cv2.__version__} cannot run this model: '
                f'{_text(error)}') from error
        return np.zeros((0, ROW), np.float32) if rows is None else rows

    return detect


def _check_outputs(path: Path) -> None:
    """Checks the sizes of the outputs, which OpenCV reads without a check."""
    expected = {f'{name}_{stride}': (SIDE // stride) ** 2 * channels
                for name, channels in _CHANNELS.items() for stride in _STRIDES}
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(cv2.dnn.blobFromImage(np.zeros((SIDE, SIDE, 3), np.uint8)))
    outputs = network.forward(list(expected))
    for (name, size), output in zip(expected.items(), outputs):
        if output.size != size or output.dtype != np.float32:
            raise _unusable(path, (
                f'its output {name} has {output.size} values of {output.dtype} for an '
                f'input of {SIDE}x{SIDE} pixels, expected {size} of float32'))


def _unusable(path: Path, found: str) -> ValueError:
    return ValueError(
        f'{path}: expected an ONNX file of the face detector YuNet for OpenCV 4.8 or '
        f'later, with the outputs {", ".join(f"{name}_N" for name in _CHANNELS)} for '
        f'the strides N = 8, 16 and 32; found a different or damaged one: {found}. To '
        f'get the published file, {how_to_get_yunet()}.')


def _text(error: cv2.error) -> str:
    """Returns OpenCV's message in one line."""
    return ' '.join(str(error).split())[:300]
