"""The contract ``face512``: the face restorers of ReActor and facefusion."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdsr.apis.blending import COLOUR_SIGMA
from fdsr.apis.networks import FaceGeometry
from fdsr.geometry.alignment import FFHQ_TEMPLATE_512
from fdsr.geometry.components import template_boxes
from fdsr.models.resampling import BicubicUpsample, window_matrix

#: Side of the frame, and the distance of the eyes in it as a share of the side.
SIDE = 512
EYE_SHARE = float(np.linalg.norm(FFHQ_TEMPLATE_512[1] - FFHQ_TEMPLATE_512[0]) / SIDE)
#: Width of the blending inside of the network's crop, as a share of its side.
RAMP = 1 / 8
#: ReActor chooses the size of the face, and the kind of the network, by these words.
_REACTOR_WORDS = ('1024', '2048', 'codeformer')


class Face512(nn.Module):
    """A network for LR faces with the interface of a restorer of 512 px faces.

    The network sees the face at the distance between the eyes that it was trained for.
    The square around the frame's centre with this distance is antialiased down to LR;
    where it exceeds the frame, the frame is continued by reflection. SR is resampled to
    the square's side and receives the low frequencies of LR, as in
    ``fdsr.apis.blending.match_colour``. If the square is smaller than the frame, SR is
    blended into the frame along a cosine at the square's border. A network with a
    dictionary uses the component boxes of the template.

    Args:
        network: a backbone in eval mode.
        geometry: size, scale and alignment of its faces.

    Attributes:
        crop: side of the square in pixels of the frame.
        mask: (512, 512), the share of SR in the result.
    """

    def __init__(self, network: nn.Module, geometry: FaceGeometry) -> None:
        super().__init__()
        self.network = network
        lr, self.scale = geometry.lr_size, geometry.scale
        self.crop = SIDE * EYE_SHARE / geometry.eye_share
        start, stop = (SIDE - self.crop) / 2, (SIDE + self.crop) / 2
        self.register_buffer('to_lr', window_matrix(SIDE, start, stop, lr).float())
        for name, side in (('from_lr', lr), ('from_sr', lr * self.scale)):
            per_pixel = side / self.crop
            self.register_buffer(name, window_matrix(
                side, -start * per_pixel, (SIDE - start) * per_pixel, SIDE).float())
        distance = torch.arange(lr)[:, None] - torch.arange(lr)
        blur = torch.exp(-distance**2 / (2 * COLOUR_SIGMA**2))
        self.register_buffer('blur', blur / blur.sum(dim=1, keepdim=True))
        self.register_buffer('mask', _mask(self.crop))
        boxes = template_boxes(geometry.size, geometry.eye_share)
        self.register_buffer('boxes', torch.from_numpy(boxes)[None])

    def forward(self, face: Tensor, weight: Tensor | None = None) -> Tensor:
        """Restores a face.

        Args:
            face: (1, 3, 512, 512) RGB in [-1, 1], aligned to FFHQ's template.
            weight: float64 (1,); 0 returns the face, 1 the restored one; default: 1.

        Returns:
            (1, 3, 512, 512) in [-1, 1], if the face is.
        """
        lr = _resampled((face + 1) / 2, self.to_lr).clamp(0, 1)
        boxes = [self.boxes] if self.network.uses_boxes else []
        sr = self.network(lr, *boxes).clamp(0, 1)
        change = _resampled(lr - F.avg_pool2d(sr, self.scale), self.blur)
        restored = _resampled(sr, self.from_sr) + _resampled(change, self.from_lr)
        restored = restored.clamp(0, 1) * 2 - 1
        share = self.mask
        if weight is not None:
            share = share * weight.to(face.dtype).clamp(0, 1)
        return face + share * (restored - face)

    def frame(self, face: Tensor) -> Tensor:
        """Places an LR or SR face into a frame, which is continued by reflection.

        Args:
            face: (B, 3, S, S) in the network's alignment.

        Returns:
            (B, 3, 512, 512) in the same range.
        """
        fits = face.shape[-1] == self.from_sr.shape[1]
        return _resampled(face, self.from_sr if fits else self.from_lr)


def _mask(crop: float) -> Tensor:
    """Returns the share of SR, (512, 512): 1, or less near the border of the crop."""
    edge = torch.arange(SIDE) + 0.5
    inside = torch.minimum(edge, SIDE - edge) - (SIDE - crop) / 2
    ramp = (inside / (RAMP * crop)).clamp(0, 1) if crop < SIDE else torch.ones(SIDE)
    ramp = (1 - torch.cos(torch.pi * ramp)) / 2
    return ramp[:, None] * ramp


def _resampled(image: Tensor, matrix: Tensor) -> Tensor:
    return matrix @ image @ matrix.T


class Face512Contract:
    """``input`` (1, 3, 512, 512), and ``weight`` (1,), to ``output``; see ``Face512``.

    Args:
        network: as for ``Face512``.
        geometry: size, scale and alignment of its faces.
        weighted: whether the file has the input ``weight``.
    """

    name = 'face512'
    colours = 'RGB in [-1, 1]'
    #: width of the range
    span = 2.0

    def __init__(self, network: nn.Module, geometry: FaceGeometry,
                 weighted: bool = False) -> None:
        self.network, self.geometry = network, geometry
        self.inputs = ('input', 'weight')[:1 + weighted]
        self.module = Face512(network, geometry).eval()

    @staticmethod
    def check_name(out: Path) -> None:
        """Checks that ReActor would use the file as a restorer of faces of 512 px.

        Raises:
            ValueError: the name does not end in ``.onnx``, or has a word that selects
                another size or another kind of network.
        """
        words = [word for word in _REACTOR_WORDS if word in out.name.lower()]
        if out.suffix != '.onnx' or words:
            problem = f'contains {words[0]!r}' if words else 'does not end in .onnx'
            raise ValueError(
                f'ReActor decides by the name how to use a file, and {out.name} '
                f'{problem}. Choose a name that ends in .onnx and has none of '
                f'{", ".join(_REACTOR_WORDS)}.')

    def dynamic_axes(self, any_size: bool) -> dict[str, dict[int, str]]:
        """Returns no dynamic axes: both programs pass one face at a time."""
        return {}

    def examples(self) -> list[Sequence[Tensor]]:
        """Returns noise and a smooth image, with different weights."""
        generator = torch.Generator().manual_seed(0)
        return [(F.interpolate(torch.rand(1, 3, side, side, generator=generator), SIDE,
                               mode='bicubic').clamp(0, 1) * 2 - 1,
                 torch.tensor([weight], dtype=torch.float64))[:len(self.inputs)]
                for side, weight in ((SIDE, 1.0), (16, 0.5))]

    def feed(self, lr: np.ndarray) -> dict[str, np.ndarray]:
        """Converts an LR face, uint8 (h, h, 3), to inputs: a blurred frame."""
        values = dict(input=self._framed(lr) * 2 - 1, weight=np.ones(1))
        return {name: values[name] for name in self.inputs}

    def image(self, output: np.ndarray) -> np.ndarray:
        """Converts an output (1, 3, 512, 512) to uint8 (512, 512, 3)."""
        return _to_uint8((output[0] + 1) / 2)

    def target(self, hr: np.ndarray) -> np.ndarray:
        """Converts an HR face, uint8 (S, S, 3), to the frame that restores it best."""
        return _to_uint8(self._framed(hr)[0])

    def restored(self, face: np.ndarray, upsampled: bool = False) -> np.ndarray:
        """Restores a frame, uint8 (512, 512, 3), in torch.

        Args:
            face: the frame.
            upsampled: use bicubic upsampling in place of the network.
        """
        module = self.module
        if upsampled:
            network = BicubicUpsample(self.geometry.scale)
            network.uses_boxes = False
            module = Face512(network, self.geometry)
        image = torch.from_numpy(np.array(face)).permute(2, 0, 1)[None]
        with torch.no_grad():
            return self.image(module(image.float() / 127.5 - 1).numpy())

    def _framed(self, face: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
        return self.module.frame(image).clamp(0, 1).numpy()


def _to_uint8(image: np.ndarray) -> np.ndarray:
    image = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def restored_by_host(session: Any, face: np.ndarray, weight: float = 1.0) -> np.ndarray:
    """Runs a file as ReActor's ``restore_face`` and facefusion's ``enhance_face`` do.

    Both feed the inputs that they know by name, take the first output, clip it and
    round it to 8 bits. An input with another name makes the run fail, whereupon ReActor
    returns the face as it was.

    Args:
        session: of onnxruntime.
        face: uint8 (512, 512, 3) BGR, aligned to FFHQ's template.
        weight: passed if the file lists ``weight``; ReActor passes 1, facefusion 0.5 by
            default.

    Returns:
        uint8 (512, 512, 3) BGR.
    """
    rgb = (face[..., ::-1] / 255.0 - 0.5) / 0.5
    values = dict(input=rgb.transpose(2, 0, 1)[None].astype(np.float32),
                  weight=np.array([weight], np.double))
    listed = {given.name for given in session.get_inputs()}
    output = session.run(None, {name: value for name, value in values.items()
                                if name in listed})[0][0]
    image = (np.clip(output, -1, 1) + 1) / 2
    return (image.transpose(1, 2, 0) * 255).round().astype(np.uint8)[..., ::-1]
