"""Search, verification and loading of YuNet's model file."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fdsr.landmarks.native_log import without_native_log
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
