"""Face embedders: they crop the face from an image and map it to a vector."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.weights import sha256_of
from fdsr.weights.files import check_sha256, package_file

#: ArcFace's positions of left eye, right eye, nose tip, left and right mouth corner in
#: its chip. Left is the image's left; (0, 0) is the centre of the top left pixel.
ARCFACE_TEMPLATE_112 = np.array([
    [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
    [41.5493, 92.3655], [70.7299, 92.2041]])

_ARCFACE_SIDE = 112
_DLIB_SIDE, _DLIB_PADDING = 150, 0.25
_DLIB_FILES = dict(
    landmarks='shape_predictor_5_face_landmarks.dat',
    network='dlib_face_recognition_resnet_model_v1.dat')
# dlib detects faces from 80 px. One upsampling step by 2 lowers this to 40 px.
_DLIB_UPSAMPLINGS = 1


class FaceEmbedder:
    """Base class: crops a chip with the face from an image and embeds it.

    Images and chips are (H, W, 3) uint8 RGB arrays.

    Attributes:
        name: Part of the column's name.
    """

    name: str

    def align(self, images: Sequence[np.ndarray]) -> list[tuple[Any, bool]]:
        """Returns for each image the chip's transform and whether a face was found.

        Without a face, the transform crops the centre square of the image.
        """
        raise NotImplementedError

    def chip(self, image: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip that a transform crops from an image."""
        raise NotImplementedError

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, D) float64 of N chips, not normalized."""
        raise NotImplementedError

    def protocol(self) -> dict[str, Any]:
        """Returns the facts that are reported with numbers of this embedder."""
        raise NotImplementedError


class DlibEmbedder(FaceEmbedder):
    """dlib's ResNet-29 with 128 values per face and dlib's alignment.

    The package face_recognition_models is not imported, only its files are read: it
    imports pkg_resources, which new versions of setuptools no longer contain.

    Raises:
        ImportError: dlib or face_recognition_models is not installed.
    """

    name = 'dlib'

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise _not_installed('dlib', 'identity') from error
        self.files = {
            what: package_file('face_recognition_models', 'models', filename)
            for what, filename in _DLIB_FILES.items()}
        if None in self.files.values():
            raise _not_installed('face_recognition_models', 'identity')
        self._dlib = dlib
        self._detect = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(self.files['landmarks']))
        self._network = dlib.face_recognition_model_v1(str(self.files['network']))

    def align(self, images: Sequence[np.ndarray]) -> list[tuple[Any, bool]]:
        """Detects the largest face and its five points; see the base class."""
        return [self._align(image) for image in images]

    def _align(self, image: np.ndarray) -> tuple[Any, bool]:
        boxes = self._detect(image, _DLIB_UPSAMPLINGS)
        if boxes:
            box = max(boxes, key=lambda box: box.area())
        else:
            left, top, side = _centre_square(image)
            box = self._dlib.rectangle(left, top, left + side - 1, top + side - 1)
        points = self._predict(image, box)
        transform = self._dlib.get_face_chip_details(points, _DLIB_SIDE, _DLIB_PADDING)
        return transform, bool(boxes)

    def chip(self, image: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip of 150 x 150 px; see the base class."""
        return self._dlib.extract_image_chip(image, transform)

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, 128); see the base class."""
        return np.array(self._network.compute_face_descriptor(list(chips)), np.float64)

    def protocol(self) -> dict[str, Any]:
        """Returns the version, the alignment and the hashes of the two models."""
        return dict(
            embedder='dlib ResNet-29', version=self._dlib.__version__,
            alignment='dlib frontal detector and 5 points, chip of 150 px',
            landmarks_sha256=sha256_of(self.files['landmarks']),
            network_sha256=sha256_of(self.files['network']))


class OnnxEmbedder(FaceEmbedder):
    """An ArcFace network in an ONNX file: 112 x 112 RGB in [-1, 1].

    Args:
        path: The file; its stem is the embedder's name.
        sha256: Expected SHA-256; default: the hash is recorded without a check.
        landmarks: Five-point detector, or its config.

    Raises:
        ImportError: onnxruntime is not installed.
        FileNotFoundError: The file does not exist.
        ValueError: The hash or the shape of the network's input differs.
    """

    def __init__(
        self, path: str | Path, sha256: str | None = None,
        landmarks: Any = None,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise _not_installed('onnxruntime', 'onnx') from error
        path = Path(path).expanduser()
        self.sha256 = sha256_of(path) if sha256 is None else check_sha256(
            path, sha256, 'Copy the file again or correct sha256.')
        self.name = path.stem
        self._session = onnxruntime.InferenceSession(
            str(path), providers=['CPUExecutionProvider'])
        self._input = self._session.get_inputs()[0]
        sides = list(self._input.shape[1:])
        if len(sides) != 3 or any(
                isinstance(found, int) and found != expected
                for found, expected in zip(sides, (3, _ARCFACE_SIDE, _ARCFACE_SIDE))):
            raise ValueError(
                f'{path}: expected an input (N, 3, 112, 112), found '
                f'{self._input.shape}. Export the network in ArcFace\'s layout.')
        if landmarks is None:
            from fdsr.landmarks import default_detector
            landmarks = default_detector()
        if isinstance(landmarks, dict):
            from fdsr.registry import LANDMARKS
            landmarks = LANDMARKS.build(landmarks)
        self._landmarks = landmarks

    def align(self, images: Sequence[np.ndarray]) -> list[tuple[Any, bool]]:
        """Fits the five points to ArcFace's template; see the base class."""
        from fdsr.geometry.alignment import similarity
        return [
            (_centre_transform(image), False) if face is None
            else (similarity(face.points, ARCFACE_TEMPLATE_112), True)
            for image, face in zip(images, self._landmarks.detect(list(images)))]

    def chip(self, image: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip of 112 x 112 px; see the base class."""
        import cv2
        # Bilinear and black outside of the image, as in ArcFace's own alignment.
        return cv2.warpAffine(image, transform, (_ARCFACE_SIDE, _ARCFACE_SIDE))

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, D); see the base class."""
        batch = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
        batch = (batch - 127.5) / 127.5
        # Some files are exported with a fixed batch size of 1.
        parts = np.split(batch, len(batch)) if self._input.shape[0] == 1 else [batch]
        return np.concatenate([
            self._session.run(None, {self._input.name: part})[0]
            for part in parts]).reshape(len(batch), -1).astype(np.float64)

    def protocol(self) -> dict[str, Any]:
        """Returns the name of the file, its hash and the alignment."""
        return dict(
            embedder=self.name, network_sha256=self.sha256,
            alignment=f'{type(self._landmarks).__name__} on ArcFace\'s 5 points, chip '
                      'of 112 px, bilinear')


def _not_installed(package: str, extra: str) -> ImportError:
    return ImportError(
        f'The metric IdentitySimilarity needs the package {package}, which is not '
        f'installed. Run `pip install fdsr[{extra}]`.')


def _centre_square(image: np.ndarray) -> tuple[int, int, int]:
    """Returns left, top and side of the largest centre square."""
    height, width = image.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _centre_transform(image: np.ndarray) -> np.ndarray:
    """Returns the matrix (2, 3) that scales the centre square to a chip."""
    left, top, side = _centre_square(image)
    scale = _ARCFACE_SIDE / side
    # Coordinates refer to pixel centres, scaling to the corner of the image.
    shift = scale * (0.5 - np.array([left, top])) - 0.5
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def build_embedder(
    embedder: str | FaceEmbedder, sha256: str | None, landmarks: Any,
) -> FaceEmbedder:
    """Builds the embedder of `IdentitySimilarity` from its arguments.

    Raises:
        ValueError: The embedder is unknown or does not take an argument.
    """
    if str(embedder).endswith('.onnx'):
        return OnnxEmbedder(embedder, sha256, landmarks)
    if sha256 is not None or landmarks is not None:
        raise ValueError(
            'IdentitySimilarity: only ONNX files take sha256 and landmarks, found '
            f'embedder={embedder!r}. Remove these arguments.')
    if isinstance(embedder, FaceEmbedder):
        return embedder
    if embedder == 'dlib':
        return DlibEmbedder()
    raise ValueError(
        f'IdentitySimilarity: expected \'dlib\' or the path of a file *.onnx, found '
        f'embedder={embedder!r}.')
