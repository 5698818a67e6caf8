"""The contract ``sr``: from an LR face, or another image, to SR."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.apis.networks import FaceGeometry, example_inputs

#: Batch sizes of the check; other than that of the example.
BATCHES = (1, 3)
#: Largest shift of the boxes in the check, as a share of the side.
_SHAKEN = 0.04


class SRContract:
    """``input`` (B, 3, h, w), and ``boxes`` for a teacher, to ``output``.

    Args:
        network: a backbone in eval mode.
        geometry: size, scale and alignment of its faces.
        weighted: not supported; only for ``face512``.
    """

    name = 'sr'
    colours = 'RGB in [0, 1]'
    #: width of the range
    span = 1.0

    def __init__(self, network: nn.Module, geometry: FaceGeometry,
                 weighted: bool = False) -> None:
        self.network = self.module = network
        self.geometry = geometry
        self.inputs = ('input', 'boxes')[:1 + network.uses_boxes]

    @staticmethod
    def check_name(out: Path) -> None:
        """Accepts any name."""

    def dynamic_axes(self, any_size: bool) -> dict[str, dict[int, str]]:
        """Returns the dynamic axes: the batch, and with ``any_size`` the size."""
        sides = {2: 'height', 3: 'width'} if any_size else {}
        axes: dict[str, dict[int, str]] = {
            name: {0: 'batch'} for name in (*self.inputs, 'output')}
        for name in ('input', 'output'):
            axes[name].update(sides)
        return axes

    def examples(self) -> list[Sequence[Tensor]]:
        """Returns random faces in several batch sizes, with shifted boxes."""
        return [_shaken(example_inputs(self.network, self.geometry, batch),
                        self.geometry.size) for batch in BATCHES]

    def feed(self, lr: np.ndarray) -> dict[str, np.ndarray]:
        """Converts an LR face, uint8 (h, h, 3), to inputs; for a network without boxes.
        """
        return dict(input=lr.transpose(2, 0, 1)[None].astype(np.float32) / 255)

    def image(self, output: np.ndarray) -> np.ndarray:
        """Converts an output (1, 3, S, S) to uint8 (S, S, 3)."""
        image = np.rint(np.clip(output[0], 0, 1) * 255).astype(np.uint8)
        return image.transpose(1, 2, 0)

    def target(self, hr: np.ndarray) -> np.ndarray:
        """Returns the image with which an output is compared."""
        return hr


def _shaken(faces: Sequence[Tensor], size: int) -> Sequence[Tensor]:
    """Shifts the boxes of each sample, if there are any."""
    if len(faces) == 1:
        return faces
    generator = torch.Generator().manual_seed(len(faces[0]))
    noise = torch.rand(faces[1].shape, generator=generator) - 0.5
    return faces[0], faces[1] + 2 * _SHAKEN * size * noise
