"""Calling any backbone, with the boxes if it asks for them."""

from typing import List, Optional

from mmagic.structures import DataSample
from torch import Tensor, nn


def run_backbone(network: nn.Module, lr: Tensor, samples: DataSample,
                 encoded: Optional[List[Tensor]] = None) -> Tensor:
    """Runs any backbone, with the boxes if it asks for them.

    Args:
        network: a backbone, bare or in a distributed wrapper.
        lr: (B, 3, h, w) RGB in [0, 1].
        samples: stacked; ``boxes`` (B, 4, 4) if the backbone uses them.
        encoded: the encoder's maps, for backbones that take them.

    Returns:
        (B, 3, H, W) RGB, not clamped.
    """
    arguments = [lr]
    if takes_boxes(network):
        arguments.append(boxes_of(network, samples))
    return network(*arguments) if encoded is None else network(
        *arguments, encoded=encoded)


def takes_boxes(network: nn.Module) -> bool:
    """Whether a backbone, bare or wrapped, is called with boxes."""
    return getattr(getattr(network, 'module', network), 'uses_boxes', False)


def boxes_of(network: nn.Module, samples: DataSample) -> Tensor:
    """The batch's boxes (B, 4, 4).

    Raises:
        ValueError: the data set's pipeline makes none.
    """
    boxes = samples.get('boxes')
    if boxes is None:
        raise ValueError(
            f'{type(network).__name__} needs component boxes, but the samples have '
            "none: put dict(type='fdsr.ComponentBoxes') into the data set's pipeline "
            "and data_keys=['boxes'] into mmagic.PackInputs.")
    return boxes
