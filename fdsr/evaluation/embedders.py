"""Embedders of faces: how a face is cut out of a picture and becomes a vector."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from fdsr.weights import sha256_of
from fdsr.weights.files import check_sha256, package_file

#: Where ArcFace wants left eye, right eye, nose tip, left and right mouth corner (left
#: is the image's left), in pixels of its chip; (0, 0) is the top left pixel's centre.
ARCFACE_TEMPLATE_112 = np.array([
    [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
    [41.5493, 92.3655], [70.7299, 92.2041]])

_ARCFACE_SIDE = 112
_DLIB_SIDE, _DLIB_PADDING = 150, 0.25
_DLIB_FILES = dict(
    landmarks='shape_predictor_5_face_landmarks.dat',
    network='dlib_face_recognition_resnet_model_v1.dat')
# The detector's smallest face is 80 px; enlarged twice, faces of 40 px are found.
_DLIB_ENLARGED = 1


class FaceEmbedder:
    """Cuts the face out of a picture and turns it into a vector.

    Pictures and chips are (H, W, 3) uint8 RGB arrays.

    Attributes:
        name: stands in the column's name.
    """

    name: str

    def align(self, pictures: Sequence[np.ndarray]) -> List[Tuple[Any, bool]]:
        """Returns for each picture how to cut its chip, and whether a face was found.

        Without a face, the transform takes the square in the middle of the picture.
        """
        raise NotImplementedError

    def chip(self, picture: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip that a transform cuts out of a picture."""
        raise NotImplementedError

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, D) float64 of N chips, not normalised."""
        raise NotImplementedError

    def protocol(self) -> Dict[str, Any]:
        """Returns what has to stand beside a number made with this embedder."""
        raise NotImplementedError


class DlibEmbedder(FaceEmbedder):
    """dlib's ResNet of 29 layers, 128 numbers a face, with dlib's own alignment.

    Only the files of the package face_recognition_models are read: importing it asks
    for pkg_resources, which is gone from new versions of setuptools.

    Raises:
        ImportError: dlib or face_recognition_models is absent.
    """

    name = 'dlib'

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise _absent('dlib', 'identity') from error
        self.files = {
            what: package_file('face_recognition_models', 'models', filename)
            for what, filename in _DLIB_FILES.items()}
        if None in self.files.values():
            raise _absent('face_recognition_models', 'identity')
        self._dlib = dlib
        self._detect = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(self.files['landmarks']))
        self._network = dlib.face_recognition_model_v1(str(self.files['network']))

    def align(self, pictures: Sequence[np.ndarray]) -> List[Tuple[Any, bool]]:
        """Finds the largest face and its five points; see the base class."""
        return [self._align(picture) for picture in pictures]

    def _align(self, picture: np.ndarray) -> Tuple[Any, bool]:
        boxes = self._detect(picture, _DLIB_ENLARGED)
        if boxes:
            box = max(boxes, key=lambda box: box.area())
        else:
            left, top, side = _middle_square(picture)
            box = self._dlib.rectangle(left, top, left + side - 1, top + side - 1)
        points = self._predict(picture, box)
        transform = self._dlib.get_face_chip_details(points, _DLIB_SIDE, _DLIB_PADDING)
        return transform, bool(boxes)

    def chip(self, picture: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip of 150 x 150 px; see the base class."""
        return self._dlib.extract_image_chip(picture, transform)

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, 128); see the base class."""
        return np.array(self._network.compute_face_descriptor(list(chips)), np.float64)

    def protocol(self) -> Dict[str, Any]:
        """Returns version, alignment and the hashes of the two models."""
        return dict(
            embedder='dlib ResNet-29', version=self._dlib.__version__,
            alignment='dlib frontal detector and 5 points, chip of 150 px',
            landmarks_sha256=sha256_of(self.files['landmarks']),
            network_sha256=sha256_of(self.files['network']))


class OnnxEmbedder(FaceEmbedder):
    """A network of ArcFace's kind in an ONNX file: 112 x 112 RGB in [-1, 1].

    Args:
        path: the file; its stem is the embedder's name.
        sha256: what the file's SHA-256 must be; default: it is recorded only.
        landmarks: config of the detector of the five points, or a built one.

    Raises:
        ImportError: onnxruntime is absent.
        FileNotFoundError: no such file.
        ValueError: another hash, or a network with another input.
    """

    def __init__(
        self, path: Union[str, Path], sha256: Optional[str] = None,
        landmarks: Any = None,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise _absent('onnxruntime', 'onnx') from error
        path = Path(path).expanduser()
        self.sha256 = sha256_of(path) if sha256 is None else check_sha256(
            path, sha256, 'Copy it again, or correct sha256.')
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
        self._landmarks, self._landmarks_name = _landmark_detector(landmarks)

    def align(self, pictures: Sequence[np.ndarray]) -> List[Tuple[Any, bool]]:
        """Moves the five points onto ArcFace's template; see the base class."""
        from fdsr.geometry.alignment import similarity
        return [
            (_middle_transform(picture), False) if face is None
            else (similarity(face.points, ARCFACE_TEMPLATE_112), True)
            for picture, face in zip(pictures, self._landmarks.detect(list(pictures)))]

    def chip(self, picture: np.ndarray, transform: Any) -> np.ndarray:
        """Returns the chip of 112 x 112 px; see the base class."""
        import cv2
        # Bilinear, black outside of the picture: as ArcFace's own chips are made.
        return cv2.warpAffine(picture, transform, (_ARCFACE_SIDE, _ARCFACE_SIDE))

    def embed(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings (N, D); see the base class."""
        batch = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
        batch = (batch - 127.5) / 127.5
        # Some files are exported for batches of one.
        parts = np.split(batch, len(batch)) if self._input.shape[0] == 1 else [batch]
        return np.concatenate([
            self._session.run(None, {self._input.name: part})[0]
            for part in parts]).reshape(len(batch), -1).astype(np.float64)

    def protocol(self) -> Dict[str, Any]:
        """Returns the file, its hash and the alignment."""
        return dict(
            embedder=self.name, network_sha256=self.sha256,
            alignment=f'{self._landmarks_name} on ArcFace\'s 5 points, chip of 112 px, '
                      'bilinear')


def _absent(package: str, extra: str) -> ImportError:
    return ImportError(
        f'The metric IdentitySimilarity needs the package {package}, which is absent. '
        f'Run `pip install fdsr[{extra}]`.')


def _landmark_detector(landmarks: Any) -> Tuple[Any, str]:
    """Returns a detector of five points, and its name."""
    if landmarks is None:
        from fdsr.landmarks import default_detector
        landmarks = default_detector()
    if isinstance(landmarks, dict):
        from fdsr.registry import LANDMARKS
        landmarks = LANDMARKS.build(landmarks)
    return landmarks, type(landmarks).__name__


def _middle_square(picture: np.ndarray) -> Tuple[int, int, int]:
    """Returns left, top and side of the largest square in the middle."""
    height, width = picture.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _middle_transform(picture: np.ndarray) -> np.ndarray:
    """Returns the matrix (2, 3) that scales the square in the middle to a chip."""
    left, top, side = _middle_square(picture)
    scale = _ARCFACE_SIDE / side
    # Pixels are counted from their centres, pictures are scaled about their corners.
    shift = scale * (0.5 - np.array([left, top])) - 0.5
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def build_embedder(
    embedder: Union[str, FaceEmbedder], sha256: Optional[str], landmarks: Any,
) -> FaceEmbedder:
    """Builds the embedder that `IdentitySimilarity` is asked for; see there."""
    if str(embedder).endswith('.onnx'):
        return OnnxEmbedder(embedder, sha256, landmarks)
    if sha256 is not None or landmarks is not None:
        raise ValueError(
            'IdentitySimilarity: sha256 and landmarks go with an ONNX file, found '
            f'embedder={embedder!r}. Leave them out.')
    if isinstance(embedder, FaceEmbedder):
        return embedder
    if embedder == 'dlib':
        return DlibEmbedder()
    raise ValueError(
        f'IdentitySimilarity: embedder={embedder!r}, expected \'dlib\' or the path of '
        'a file *.onnx.')
