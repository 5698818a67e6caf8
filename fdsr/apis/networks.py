"""A network to super-resolve with, out of a file of weights, a config, or a name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from fdsr.geometry.components import FFHQ_EYE_SHARE, template_boxes
from fdsr.models.files.checkpoints import load_backbone, read_checkpoint
from fdsr.weights.walking import short

#: The paper's, for files that do not tell.
_DEFAULT_SCALE, _DEFAULT_SIZE = 8, 256
_DAMAGED = 'Its file is damaged, or was changed.'


@dataclass(frozen=True)
class FaceSetting:
    """How faces have to be cut for a network.

    Args:
        size: side of SR.
        scale: of SR to LR.
        eye_share: distance of the eyes as a share of the side.
    """

    size: int
    scale: int
    eye_share: float

    @classmethod
    def of(cls, network: nn.Module, facts: Mapping[str, Any]) -> 'FaceSetting':
        """What a network says, else what its file says, else the paper's.

        Args:
            network: a backbone.
            facts: ``size``, ``scale`` and ``eye_share``, as far as they are known.

        Raises:
            ValueError: one is of another type or out of range, or size and scale
                leave no LR image.
        """
        scale = getattr(getattr(network, 'upsample', network), 'scale',
                        facts.get('scale', _DEFAULT_SCALE))
        size = getattr(network, 'size', facts.get('size', _DEFAULT_SIZE))
        share = getattr(network, 'eye_share', facts.get('eye_share', FFHQ_EYE_SHARE))
        name = type(network).__name__
        if type(share) is not float or not 0 < share < 1:
            raise ValueError(
                f'{name} has an eye_share of {short(share)}; expected a number between '
                f'0 and 1. {_DAMAGED}')
        if not (_is_whole(size) and _is_whole(scale) and 1 <= scale <= size):
            raise ValueError(
                f'{name} is for SR of {short(size)} px at scale {short(scale)}, which '
                f'leaves no LR image; expected whole numbers. {_DAMAGED}')
        return cls(size=int(size), scale=int(scale), eye_share=share)

    @property
    def lr_size(self) -> int:
        """Side of LR."""
        return self.size // self.scale


def _is_whole(value: Any) -> bool:
    return type(value) in (int, float) and float(value).is_integer()


def open_network(weights: Union[str, Path], name: Optional[str] = None
                 ) -> Tuple[nn.Module, FaceSetting]:
    """Builds a network in eval mode and tells how its faces are cut.

    Args:
        weights: a self-describing file; a config of a network that has nothing to
            learn, or whose ``load_from`` names such a file; or a name out of
            ``fdsr.weights.SHIPPED``.
        name: which of the file's backbones; default: the trained one.

    Raises:
        FileNotFoundError, CheckpointMismatch, RefusedCheckpointError: see
            ``load_backbone``.
        ValueError: a config that has no weights.
    """
    from fdsr.weights.shipped import SHIPPED, shipped_weights
    if str(weights) in SHIPPED:
        weights = shipped_weights(str(weights))
    if Path(weights).suffix == '.py':
        return _from_config(Path(weights), name)
    if not Path(weights).expanduser().exists():
        raise FileNotFoundError(
            f'There is no checkpoint at {weights}, nor do weights of that name come '
            f'along: those that do are {", ".join(SHIPPED) or "none"}. Correct the '
            'path, or make a file by tools/train.py, tools/publish_model.py or '
            'tools/convert_checkpoint.py.')
    network = load_backbone(weights, name)
    facts = read_checkpoint(weights)[0].get('faces') or {}
    try:
        return network, FaceSetting.of(network, facts)
    except ValueError as error:
        raise ValueError(f'{weights}: {error}') from error


def open_device(name: str) -> torch.device:
    """A device, after a look whether it is there.

    Args:
        name: ``auto`` for a GPU if there is one, else as torch names it.

    Raises:
        ValueError: torch knows no such device, or cannot use it here.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f'The device {name!r} cannot be used here ({str(error).splitlines()[0]}). '
            "Take 'cpu', or 'auto' for a GPU if there is one.") from error


def _from_config(path: Path, name: Optional[str]) -> Tuple[nn.Module, FaceSetting]:
    from mmengine.config import Config

    from fdsr.registry import MODELS
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no config at {path}; those of the project are in configs/.')
    config = Config.fromfile(path)
    if config.get('load_from'):
        return open_network(config.load_from, name)
    model = config.get('model', {})
    backbone = model.get('generator') or model.get('student')
    if backbone is None:
        raise ValueError(f'{path} has no model.generator and no model.student, so it '
                         'does not say which network to use.')
    network = MODELS.build(backbone).eval()
    if any(True for _ in network.parameters()):
        raise ValueError(
            f'{path} describes a network but has no weights: give a file that '
            'tools/train.py wrote from it instead, or set load_from to one.')
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    return network, FaceSetting.of(network, dataset)


def example_faces(network: nn.Module, setting: FaceSetting,
                  batch: int = 2) -> Sequence[Tensor]:
    """Random LR, and the template's boxes for a network that takes boxes."""
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(batch, 3, setting.lr_size, setting.lr_size, generator=generator)
    if not getattr(network, 'uses_boxes', False):
        return (lr,)
    boxes = torch.from_numpy(template_boxes(setting.size, setting.eye_share))
    return lr, boxes.expand(batch, -1, -1)
