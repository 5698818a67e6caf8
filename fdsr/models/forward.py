"""Calling any backbone on a batch."""

from typing import Any

from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.utils.modules import unwrap


def run_backbone(network: nn.Module, lr: Tensor, samples: DataSample,
                 encoded: list[Tensor] | None = None) -> Tensor:
    """Runs a backbone, with boxes if it uses them.

    Args:
        network: a backbone, bare or in a distributed wrapper.
        lr: (B, 3, h, w) RGB in [0, 1].
        samples: stacked; ``boxes`` (B, 4, 4) if the backbone uses them.
        encoded: the encoder's maps, for backbones that accept them.

    Returns:
        (B, 3, H, W) RGB, not clamped.
    """
    return network(*_arguments(network, lr, samples), **_encoded(encoded))


def run_all_steps(network: nn.Module, lr: Tensor, samples: DataSample,
                  encoded: list[Tensor] | None = None) -> list[Tensor]:
    """Runs a backbone and returns the output of every step.

    Args:
        network, lr, samples, encoded: as for :func:`run_backbone`.

    Returns:
        (B, 3, H, W) RGB, not clamped, for each step of a recurrent backbone
        (``forward_steps``); a list of one for every other backbone.
    """
    arguments = _arguments(network, lr, samples)
    if hasattr(unwrap(network), 'forward_steps'):
        return network(*arguments, all_steps=True, **_encoded(encoded))
    return [network(*arguments, **_encoded(encoded))]


def _arguments(network: nn.Module, lr: Tensor, samples: DataSample) -> list[Tensor]:
    """Returns the positional arguments of a backbone.

    Raises:
        ValueError: the backbone uses boxes and the samples have none.
    """
    backbone = unwrap(network)
    if not backbone.uses_boxes:
        return [lr]
    boxes = samples.get('boxes')
    if boxes is None:
        raise ValueError(
            f'{type(backbone).__name__} needs component boxes, but the samples have '
            "none. Add dict(type='fdsr.ComponentBoxes') to the dataset's pipeline and "
            "data_keys=['boxes'] to mmagic.PackInputs.")
    return [lr, boxes]


def _encoded(encoded: list[Tensor] | None) -> dict[str, Any]:
    return {} if encoded is None else {'encoded': encoded}
