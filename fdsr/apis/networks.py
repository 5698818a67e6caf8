"""Loading a network from a model file, a config or by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import torch
from torch import Tensor, nn

from fdsr.geometry.components import FFHQ_EYE_SHARE, template_boxes
from fdsr.models.backbones.heatmap_net import HeatmapNet
from fdsr.models.contract import add_traits, traits_of
from fdsr.models.files.checkpoints import load_backbone

#: The paper's size, for networks that do not report a size.
_DEFAULT_SIZE = 256


@dataclass(frozen=True)
class FaceGeometry:
    """The crop of a face that a network expects.

    Args:
        size: side of the SR image in pixels.
        scale: factor from LR to SR.
        eye_share: distance between the eyes as a share of the side.
    """

    size: int
    scale: int
    eye_share: float

    @classmethod
    def of(cls, network: nn.Module) -> 'FaceGeometry':
        """Returns the geometry of a backbone.

        Where the network does not know the size or the eyes' distance of its training
        faces, the paper's values are used: 256 px and FFHQ's alignment.

        Raises:
            ValueError: the network does not report its traits.
        """
        traits = traits_of(network)
        size = traits.size or max(_DEFAULT_SIZE, traits.scale)
        return cls(size, traits.scale, traits.eye_share or FFHQ_EYE_SHARE)

    @property
    def lr_size(self) -> int:
        """Side of the LR image in pixels."""
        return self.size // self.scale


def open_network(weights: str | Path, name: str | None = None
                 ) -> tuple[nn.Module, FaceGeometry]:
    """Builds a network in eval mode.

    Args:
        weights: a self-describing file; the config of a network without trainable
            parameters, or with ``load_from`` set to such a file; or a name in
            ``fdsr.weights.SHIPPED``.
        name: one of the file's backbones; default: the trained one.

    Returns:
        The network, and the crop of a face that it expects.

    Raises:
        FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: see
            ``load_backbone``.
        ValueError: the config has no weights, or the network finds landmarks.
    """
    from fdsr.weights.shipped import SHIPPED, shipped_weights
    if str(weights) in SHIPPED:
        weights = shipped_weights(str(weights))
    if Path(weights).suffix == '.py':
        return _from_config(Path(weights), name)
    if not Path(weights).expanduser().exists():
        raise FileNotFoundError(
            f'There is no checkpoint at {weights}, and no bundled weights have that '
            f'name. The bundled weights are {", ".join(SHIPPED) or "none"}. Correct '
            'the path, or create a file with tools/train.py, tools/publish_model.py '
            'or tools/convert_checkpoint.py.')
    network = load_backbone(weights, name)
    check_returns_images(weights, network)
    return network, FaceGeometry.of(network)


def check_returns_images(source: str | Path, network: nn.Module) -> None:
    """Checks that a network is not one for landmarks, which has the same traits.

    Raises:
        ValueError: it is.
    """
    if isinstance(network, HeatmapNet):
        raise ValueError(
            f'{source} has a {type(network).__name__}, which finds landmarks; expected '
            'a network for super-resolution. tools/evaluate_landmarks.py measures '
            'landmark networks.')


def open_device(name: str) -> torch.device:
    """Returns a device that can be used on this machine.

    Args:
        name: ``auto`` for a GPU if there is one, or the name of a torch device.

    Raises:
        ValueError: torch does not support the device, or cannot use it here.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f'The device {name!r} cannot be used here ({str(error).splitlines()[0]}). '
            "Use 'cpu', or 'auto' for a GPU if there is one.") from error


def _from_config(path: Path, name: str | None) -> tuple[nn.Module, FaceGeometry]:
    from fdsr.registry import MODELS
    from fdsr.utils.configs import read_config
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no config at {path}; those of the project are in configs/.')
    config = read_config(path)
    if config.get('load_from'):
        return open_network(config.load_from, name)
    model = config.get('model', {})
    backbone = model.get('generator') or model.get('student')
    if backbone is None:
        raise ValueError(f'{path} has neither model.generator nor model.student, so '
                         'the network is unknown.')
    network = MODELS.build(backbone).eval()
    if any(True for _ in network.parameters()):
        raise ValueError(
            f'{path} describes a network but has no weights: pass a file that '
            'tools/train.py wrote for it, or set load_from to one.')
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    add_traits(network, {key: dataset.get(key) for key in ('size', 'eye_share')})
    return network, FaceGeometry.of(network)


def example_inputs(network: nn.Module, geometry: FaceGeometry,
                   batch: int = 2) -> Sequence[Tensor]:
    """Returns random LR images, and the template's boxes for a network with boxes."""
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(batch, 3, geometry.lr_size, geometry.lr_size, generator=generator)
    if not network.uses_boxes:
        return (lr,)
    boxes = torch.from_numpy(template_boxes(geometry.size, geometry.eye_share))
    return lr, boxes.expand(batch, -1, -1)
