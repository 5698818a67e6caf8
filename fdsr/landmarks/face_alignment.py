"""Bulat and Tzimiropoulos's 68 points, whose weights a person brings along."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple, Union

import cv2
import numpy as np

from fdsr.landmarks.base import FaceLandmarks68, LandmarkDetector, check_image
from fdsr.registry import LANDMARKS
from fdsr.weights import safe_load
from fdsr.weights.files import check_sha256

_ORIGIN = 'https://www.adrianbulat.com/downloads/python-fan/'
#: File and SHA-256 of the weights that the package face-alignment 1.3.4 takes; the
#: file's name carries the beginning of its hash.
NETWORK = ('2DFAN4-cd938726ad.zip',
           'cd938726adb1f15f361263cce2db9cb820c42585fa8796ec72ce19107f369a46')
FACE_FINDER = ('s3fd-619a316812.pth',
               '619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543')

#: The network sees this many pixels, and its heat maps have so many.
_SEEN, _HEAT = 256, 64
# What the network is shown of a face: the box's mean side times 200 / 195, and its
# centre higher than the box's by 0.12 of the height.
_SHOWN, _LIFT = 200 / 195, 0.12
#: Two boxes that share more of their union are one face.
_SAME = 0.3

Box = Tuple[float, float, float, float]
FindBoxes = Callable[[np.ndarray], Sequence[Sequence[float]]]


@LANDMARKS.register_module()
class FaceAlignmentLandmarks(LandmarkDetector):
    """FAN (Bulat and Tzimiropoulos 2017): 68 points, five of them derived.

    S3FD finds the faces, an hourglass network draws a heat map for each point. Both
    come from the package face-alignment, their weights from two files named here: it
    would download them by itself, this does not. The network's file is TorchScript,
    which is a program and not only data, so nothing is loaded whose hash differs.
    Files are read at the first call, in the process that calls.

    Points have a quarter of a heat map's pixel as their step. The package rounds them
    down to whole pixels of the image, here they stay as they are.

    Args:
        network: path of ``2DFAN4-cd938726ad.zip``.
        face_finder: path of ``s3fd-619a316812.pth``.
        network_sha256: of the file, where it is another one than that.
        face_finder_sha256: likewise.
        device: where both networks run.
        min_confidence: of S3FD, 0 to 1.
        min_side: faces are looked for in the image with its shorter side at least...
        max_side: ... and its longer side at most this long; the points are found in
            the image as it is.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, network: Union[str, Path], face_finder: Union[str, Path],
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

    def __getstate__(self) -> Dict[str, Any]:
        """Without the networks, which each process reads itself."""
        return {**self.__dict__, '_loaded': None}

    def detect_faces(self, image: np.ndarray) -> List[FaceLandmarks68]:
        """All faces of an image, the largest first; see the base class.

        Raises:
            FileNotFoundError: a file of weights is not there; says where to get it.
            ImportError: face-alignment is absent.
            ValueError: the image is not uint8 (H, W, 3), or a file's hash differs.
        """
        image = check_image(image)
        find_boxes, network = self._networks()
        faces = [FaceLandmarks68.of(self._points_in(image, box, network))
                 for box in self._boxes(image, find_boxes)]
        return sorted(faces, key=lambda face: -face.eye_distance)

    def _boxes(self, image: np.ndarray, find_boxes: FindBoxes) -> List[Box]:
        """The faces' boxes, in pixels of the image, each face once."""
        height, width = image.shape[:2]
        factor = max(1.0, self.min_side / min(height, width))
        factor = min(factor, self.max_side / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        seen = image if factor == 1 else cv2.resize(image, size, interpolation=method)
        kept: List[Box] = []
        sure = [found for found in find_boxes(seen) if found[4] > self.min_confidence]
        for found in sorted(sure, key=lambda found: -found[4]):
            x1, y1, x2, y2 = (float(value) / factor for value in found[:4])
            box = (x1, y1, x2, y2)
            if x2 > x1 and y2 > y1 and all(
                    _shared(box, other) <= _SAME for other in kept):
                kept.append(box)
        return kept

    def _points_in(self, image: np.ndarray, box: Box, network: Any) -> np.ndarray:
        """(68, 2) of the face in a box, in pixels of the image."""
        import torch
        corner, side = shown_square(box)
        square = torch.from_numpy(cut_square(image, corner, side))
        batch = square.permute(2, 0, 1)[None].float().div(255).to(self.device)
        with torch.no_grad():
            heat = network(batch)[0].float().cpu().numpy()
        # heat maps count from the square's edge, pixels from the first one's centre
        return corner + peaks(heat) * (side / _HEAT) - 0.5

    def _networks(self) -> Tuple[FindBoxes, Any]:
        """What finds boxes, (x1, y1, x2, y2, score) each, and the network."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Tuple[FindBoxes, Any]:
        import torch
        checked(self.network, self.network_sha256, NETWORK[0])
        checked(self.face_finder, self.face_finder_sha256, FACE_FINDER[0])
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
        network = torch.jit.load(str(self.network), map_location=self.device).eval()
        return (lambda image: detect(finder, image, self.device)[0]), network


def checked(path: Path, sha256: str, name: str) -> Path:
    """Returns a file of weights that is the one it should be.

    Args:
        path: of the file.
        sha256: 64 hex digits.
        name: of the file that its makers offer.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: its hash differs.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected the weights {name}, found no file. Download '
            f'{_ORIGIN}{name} (BSD-3-Clause code; the weights carry no licence of '
            'their own) and name its path.')
    check_sha256(path, sha256, f'Download {_ORIGIN}{name} again; or, if you trust the '
                 'file, give its hash as network_sha256 or face_finder_sha256.')
    return path


def shown_square(box: Box) -> Tuple[np.ndarray, int]:
    """The square around a face that the network is shown, in whole pixels.

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
    """A square of an image, black where it leaves it, at the network's size.

    Args:
        image: uint8 (H, W, 3).
        corner: (2,) int, x then y, of the square's top left pixel.
        side: of the square.

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
    """Where heat maps are highest, moved a quarter towards the higher neighbour.

    Args:
        heat: (N, H, W).

    Returns:
        float64 (N, 2), x then y, in heat map pixels from the map's edge.
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


def _shared(first: Box, second: Box) -> float:
    """The part of two boxes' union that both have."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)
