"""Calling any backbone on a batch."""

from typing import Any

from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.utils.modules import unwrap


def run_backbone(network: nn.Module, lr: Tensor, samples: DataSample | None,
                 encoded: list[Tensor] | None = None) -> Tensor:
    """Runs a backbone, with boxes if it uses them.

    Args:
        network: a backbone, bare or in a distributed wrapper.
        lr: (B, 3, h, w) RGB in [0, 1].
        samples: stacked; with ``boxes`` (B, 4, 4) if the backbone uses them.
        encoded: the encoder's maps, for backbones that accept them.

    Returns:
        (B, 3, H, W) RGB, not clamped.

    Raises:
        ValueError: the backbone uses boxes and the samples have none.
    """
    arguments, options = _arguments(network, lr, samples, encoded)
    return network(*arguments, **options)


def run_all_steps(network: nn.Module, lr: Tensor, samples: DataSample | None,
                  encoded: list[Tensor] | None = None) -> list[Tensor]:
    """Runs a backbone and returns the output of every step.

    Args:
        network, lr, samples, encoded: as for :func:`run_backbone`.

    Returns:
        RGB, not clamped, for each step of a recurrent or progressive backbone
        (``forward_steps``); a list of one (B, 3, H, W) for every other backbone. The
        earlier images of a progressive backbone are smaller.
    """
    arguments, options = _arguments(network, lr, samples, encoded)
    if hasattr(unwrap(network), 'forward_steps'):
        return network(*arguments, all_steps=True, **options)
    return [network(*arguments, **options)]


def _arguments(network: nn.Module, lr: Tensor, samples: DataSample | None,
               encoded: list[Tensor] | None) -> tuple[list[Tensor], dict[str, Any]]:
    backbone = unwrap(network)
    arguments = [lr, boxes_of(backbone, samples)] if backbone.uses_boxes else [lr]
    return arguments, {} if encoded is None else {'encoded': encoded}


def boxes_of(network: nn.Module, samples: DataSample | None) -> Tensor:
    """Returns the component boxes (B, 4, 4) that a network needs.

    Raises:
        ValueError: the samples have none.
    """
    boxes = None if samples is None else samples.get('boxes')
    if boxes is None:
        raise ValueError(
            f'{type(unwrap(network)).__name__} needs component boxes, but the samples '
            "have none. Add dict(type='fdsr.ComponentBoxes') to the dataset's pipeline "
            "and data_keys=['boxes'] to mmagic.PackInputs.")
    return boxes
