"""FAN: 68 landmarks, with user-supplied weights."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fdsr.landmarks.base import FaceLandmarks68, LandmarkDetector, check_image
from fdsr.landmarks.views import Box, distinct, intersection, rescaled
from fdsr.registry import LANDMARKS
from fdsr.weights import safe_load
from fdsr.weights.files import check_sha256

_ORIGIN = 'https://www.adrianbulat.com/downloads/python-fan/'
#: Name and SHA-256 of the weights of the package face-alignment 1.3.4.
NETWORK = ('2DFAN4-cd938726ad.zip',
           'cd938726adb1f15f361263cce2db9cb820c42585fa8796ec72ce19107f369a46')
FACE_FINDER = ('s3fd-619a316812.pth',
               '619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543')

#: Sides of the network's input and heat maps.
_SEEN, _HEAT = 256, 64
# Region of the network's input: the mean side of the box times 200 / 195, shifted up by
# 0.12 of the height.
_SHOWN, _LIFT = 200 / 195, 0.12
#: Maximum intersection over union of the boxes of two faces.
_SAME = 0.3

FindBoxes = Callable[[np.ndarray], Sequence[Sequence[float]]]


@LANDMARKS.register_module()
class FaceAlignmentLandmarks(LandmarkDetector):
    """FAN (Bulat and Tzimiropoulos 2017): 68 landmarks, from which five are derived.

    S3FD detects the faces, and an hourglass network predicts a heat map for each
    landmark. The code is in the package face-alignment, the weights in two files. The
    package would download the files; this class does not. The file of the network is
    TorchScript, which can run code, so its hash must match. Files are loaded at the
    first call, in the calling process.

    The resolution of the landmarks is a quarter of a pixel of the heat map. The package
    rounds them down to whole pixels of the image; this class does not.

    Args:
        network: path of ``2DFAN4-cd938726ad.zip``.
        face_finder: path of ``s3fd-619a316812.pth``.
        network_sha256: hash of ``network``, if it is another file.
        face_finder_sha256: hash of ``face_finder``, if it is another file.
        device: device of both networks.
        min_confidence: minimum confidence of S3FD, 0 to 1.
        min_side: the image is upsampled for S3FD to at least this shorter side.
        max_side: the image is downsampled for S3FD to at most this longer side.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, network: str | Path, face_finder: str | Path,
                 network_sha256: str = NETWORK[1],
                 face_finder_sha256: str = FACE_FINDER[1], device: str = 'cpu',
                 min_confidence: float = 0.5, min_side: int = 128,
                 max_side: int = 1024) -> None:
        if not 0 < min_confidence <= 1 or not 0 < min_side <= max_side:
            raise ValueError(
                'FaceAlignmentLandmarks: expected 0 < min_confidence <= 1 and 0 < '
                f'min_side <= max_side, found {min_confidence}, {min_side} and '
                f'{max_side}.')
        self.network, self.face_finder = Path(network), Path(face_finder)
        self.network_sha256 = network_sha256
        self.face_finder_sha256 = face_finder_sha256
        self.device, self.min_confidence = device, min_confidence
        self.min_side, self.max_side = min_side, max_side
        self._loaded: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the networks, which each process loads."""
        return {**self.__dict__, '_loaded': None}

    def detect_faces(self, image: np.ndarray) -> list[FaceLandmarks68]:
        """Detects all faces of an image, the largest first; see the base class.

        Raises:
            FileNotFoundError: a file of weights is missing; the message names its URL.
            ImportError: face-alignment is not installed.
            ValueError: the image is not uint8 (H, W, 3), or the hash of a file differs.
        """
        image = check_image(image)
        if self._loaded is None:
            self._loaded = self._load()
        find_boxes, network = self._loaded
        faces = [FaceLandmarks68.of(self._points_in(image, box, network))
                 for box in self._boxes(image, find_boxes)]
        return sorted(faces, key=lambda face: -face.eye_distance)

    def _boxes(self, image: np.ndarray, find_boxes: FindBoxes) -> list[Box]:
        """Returns the box of each face in pixels of the image."""
        height, width = image.shape[:2]
        factor = max(1.0, self.min_side / min(height, width))
        factor = min(factor, self.max_side / max(height, width))
        sure = [found for found in find_boxes(rescaled(image, factor))
                if found[4] > self.min_confidence]
        boxes = [tuple(float(value) / factor for value in found[:4])
                 for found in sorted(sure, key=lambda found: -found[4])]
        return distinct((box for box in boxes if box[2] > box[0] and box[3] > box[1]),
                        _is_same)

    def _points_in(self, image: np.ndarray, box: Box, network: Any) -> np.ndarray:
        """Returns the landmarks (68, 2) of the face in a box, in image pixels."""
        import torch
        corner, side = shown_square(box)
        square = torch.from_numpy(cut_square(image, corner, side))
        batch = square.permute(2, 0, 1)[None].float().div(255).to(self.device)
        with torch.no_grad():
            heat = network(batch)[0].float().cpu().numpy()
        # heat maps count from the edge, images from the centre of the first pixel
        return corner + peaks(heat) * (side / _HEAT) - 0.5

    def _load(self) -> tuple[FindBoxes, Any]:
        """Returns a function that finds (x1, y1, x2, y2, score), and the network."""
        _check_file(self.network, self.network_sha256, NETWORK[0])
        _check_file(self.face_finder, self.face_finder_sha256, FACE_FINDER[0])
        try:
            from face_alignment.detection.sfd.detect import detect
            from face_alignment.detection.sfd.net_s3fd import s3fd
        except ImportError as error:
            raise ImportError(
                'FaceAlignmentLandmarks needs the package face-alignment: '
                'pip install "fdsr[landmarks]".') from error
        finder = s3fd()
        finder.load_state_dict(safe_load(self.face_finder))
        finder.to(self.device).eval()
        network = load_network(self.network, self.network_sha256, self.device)
        return (lambda image: detect(finder, image, self.device)[0]), network


def _is_same(box: Box, other: Box) -> bool:
    shared, areas = intersection(box, other)
    return shared > _SAME * (sum(areas) - shared)


def load_network(path: str | Path, sha256: str = NETWORK[1], device: str = 'cpu'
                 ) -> Any:
    """Loads FAN, which maps (B, 3, 256, 256) RGB in [0, 1] to (B, 68, 64, 64).

    Args:
        path: the TorchScript file, which is not executed before its hash is checked.
        sha256: hash of the file.
        device: device of the network.

    Returns:
        The network in eval mode.

    Raises:
        FileNotFoundError: the file is missing; the message names its URL.
        ValueError: the hash of the file differs.
    """
    import torch
    path = Path(path).expanduser()
    _check_file(path, sha256, NETWORK[0])
    return torch.jit.load(str(path), map_location=device).eval()


def _check_file(path: Path, sha256: str, name: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected the weights {name}, found no file. Download '
            f'{_ORIGIN}{name} (BSD-3-Clause code; the weights have no licence of '
            'their own) and pass its path.')
    check_sha256(path, sha256, f'Download {_ORIGIN}{name} again; or, if you trust the '
                 'file, pass its hash as network_sha256 or face_finder_sha256 '
                 '(sha256 of fdsr.FANHeatmaps).')


def shown_square(box: Box) -> tuple[np.ndarray, int]:
    """Returns the square of a face in the network's input, in whole pixels.

    Args:
        box: x1, y1, x2, y2 in pixels.

    Returns:
        The top left corner, (2,) int, x then y, and the side.
    """
    x1, y1, x2, y2 = box
    side = max(1, round(_SHOWN * (x2 - x1 + y2 - y1)))
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2 - _LIFT * (y2 - y1)])
    return np.floor(centre - side / 2 + 0.5).astype(int), side


def cut_square(image: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
    """Cuts a square, black beyond the image, and resizes it for the network.

    Args:
        image: uint8 (H, W, 3).
        corner: (2,) int, x then y, top left pixel of the square.
        side: side of the square.

    Returns:
        uint8 (256, 256, 3).
    """
    square = np.zeros((side, side, 3), np.uint8)
    low = np.maximum(corner, 0)
    high = np.maximum(np.minimum(corner + side, image.shape[1::-1]), low)
    (x1, y1), (x2, y2) = low - corner, high - corner
    square[y1:y2, x1:x2] = image[low[1]:high[1], low[0]:high[0]]
    return cv2.resize(square, (_SEEN, _SEEN), interpolation=cv2.INTER_LINEAR)


def peaks(heat: np.ndarray) -> np.ndarray:
    """Locates the maxima of heat maps, shifted by 0.25 towards the higher neighbour.

    Args:
        heat: (N, H, W).

    Returns:
        float64 (N, 2), x then y, in pixels of the heat map, from its edge.
    """
    count, height, width = heat.shape
    y, x = np.divmod(heat.reshape(count, -1).argmax(axis=1), width)
    points = np.stack([x, y], axis=-1) + 0.5
    for point, row, column, values in zip(points, y, x, heat):
        if 0 < column < width - 1 and 0 < row < height - 1:
            point += 0.25 * np.sign([
                values[row, column + 1] - values[row, column - 1],
                values[row + 1, column] - values[row - 1, column]])
    return points
