"""Teachers of landmark heatmaps: FAN, or any detector of 68 points.

They are not among the backbones, so a model file cannot name them: FAN's TorchScript
can run code, and only a config of the user may vouch for its hash.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.landmarks.face_alignment import NETWORK, load_network
from fdsr.models.backbones.heatmap_net import STRIDE
from fdsr.models.heatmaps import SIGMA, points_from_heatmaps, render_heatmaps
from fdsr.models.images import to_uint8
from fdsr.registry import LANDMARKS, MODELS
from fdsr.weights import ExternalWeights

#: Side of FAN's input, and the eye distance in it as a share of the side: its input is
#: about 4.5 eye distances wide.
_SIDE, _EYE_SHARE = 256, 0.22


@MODELS.register_module()
class FANHeatmaps(nn.Module):
    """FAN (Bulat and Tzimiropoulos 2017), with user-supplied weights.

    The image is padded with black so that the face has the size that FAN expects, and
    the heatmaps are cropped back.

    Args:
        weights: path of ``2DFAN4-cd938726ad.zip`` of the package face-alignment.
        sha256: hash of ``weights``, if it is another file.
        eye_share: eye distance in the images as a share of their side.

    Raises:
        FileNotFoundError: the file does not exist; the message names its URL.
        ValueError: the hash of the file differs, or ``eye_share`` is not in (0, 1).
    """

    scale = 1
    num_points = 68

    def __init__(self, weights: str | Path, sha256: str = NETWORK[1],
                 eye_share: float = 0.3125) -> None:
        super().__init__()
        if not 0 < eye_share < 1:
            raise ValueError(f'eye_share: expected a number in (0, 1), found '
                             f'{eye_share}.')
        self.eye_share = eye_share
        self.network = load_network(weights, sha256)
        self.external_weights = ExternalWeights(
            name='FAN', path=str(Path(weights).expanduser().resolve()), sha256=sha256,
            licence='the weights have no licence of their own')

    def forward(self, image: Tensor) -> Tensor:
        """Returns heatmaps (B, 68, H / 4, H / 4) of (B, 3, H, H) RGB in [0, 1]."""
        side = image.shape[-1]
        # in whole pixels of the heatmaps
        border = STRIDE * max(0, round(
            side * (self.eye_share / _EYE_SHARE - 1) / (2 * STRIDE)))
        padded = F.interpolate(
            F.pad(image, [border] * 4), size=(_SIDE, _SIDE), mode='bilinear',
            align_corners=False, antialias=True)
        heatmaps = self.network(padded)
        whole = (side + 2 * border) // STRIDE
        heatmaps = F.interpolate(
            heatmaps, size=(whole, whole), mode='bilinear', align_corners=False)
        start, shown = border // STRIDE, side // STRIDE
        return heatmaps[..., start:start + shown, start:start + shown]


@MODELS.register_module()
class DetectorHeatmaps(nn.Module):
    """Renders the points of a landmark detector as Gaussians.

    A teacher that needs no weights of FAN. The points of each image are detected once
    and kept, because training shows the same images repeatedly. An image without a
    detected face has empty heatmaps, and ``HeatmapLoss`` skips it.

    Args:
        detector: config of a registered detector of 68 points.
        sigma: standard deviation of the Gaussians in pixels of the heatmap.

    Attributes:
        num_seen, num_not_found: number of different images so far, and of those among
            them without a face.
    """

    scale = 1
    num_points = 68

    def __init__(self, detector: dict | None = None, sigma: float = SIGMA) -> None:
        super().__init__()
        self.detector = LANDMARKS.build(
            detector or dict(type='fdsr.MediaPipe68Landmarks'))
        self.sigma = sigma
        self.num_seen = self.num_not_found = 0
        self._known: dict[bytes, np.ndarray] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Returns heatmaps (B, 68, H / 4, H / 4) of (B, 3, H, H) RGB in [0, 1]."""
        side = image.shape[-1]
        return render_heatmaps(
            self.points(image), side, side // STRIDE, self.sigma).to(image.dtype)

    def points(self, image: Tensor) -> Tensor:
        """Returns the landmarks of (B, 3, H, H) RGB in [0, 1].

        Returns:
            (B, 68, 2), x then y in pixels of the image; NaN if no face is found.

        Raises:
            ValueError: the detector does not return 68 points.
        """
        images = to_uint8(image).permute(0, 2, 3, 1).cpu().numpy()
        found = [self._points_in(np.ascontiguousarray(one)) for one in images]
        return torch.from_numpy(np.stack(found)).to(image.device)

    def _points_in(self, image: np.ndarray) -> np.ndarray:
        key = hashlib.sha1(image.tobytes()).digest()
        if key not in self._known:
            face = self.detector.detect([image])[0]
            points = getattr(face, 'all_points', None)
            if face is not None and points is None:
                raise ValueError(
                    f'{type(self.detector).__name__} returns five landmarks, expected '
                    '68. Use fdsr.MediaPipe68Landmarks or fdsr.FaceAlignmentLandmarks.')
            self.num_seen += 1
            if face is None:
                self.num_not_found += 1
                points = np.full((68, 2), np.nan, np.float32)
                if image.any():  # not the black image with which networks are probed
                    warnings.warn(
                        f'{type(self.detector).__name__} finds no face in an image; '
                        f'it is not used ({self.num_not_found} so far).', stacklevel=2)
            self._known[key] = points
        return self._known[key]


def points_of(network: nn.Module, image: Tensor) -> Tensor:
    """Returns the landmarks (B, K, 2) that a heatmap network or a teacher finds."""
    if hasattr(network, 'points'):
        return network.points(image)
    return points_from_heatmaps(network(image), image.shape[-1])
