"""Calling any backbone on a batch."""

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

    Raises:
        ValueError: the backbone uses boxes and the samples have none.
    """
    return run_all_steps(network, lr, samples, encoded)[-1]


def run_all_steps(network: nn.Module, lr: Tensor, samples: DataSample,
                  encoded: list[Tensor] | None = None) -> list[Tensor]:
    """Runs a backbone and returns the output of every step.

    Args:
        network, lr, samples, encoded: as for :func:`run_backbone`.

    Returns:
        (B, 3, H, W) RGB, not clamped, for each step of a recurrent backbone
        (``forward_steps``); a list of one for every other backbone.
    """
    backbone = unwrap(network)
    arguments = [lr, samples.get('boxes')] if backbone.uses_boxes else [lr]
    if arguments[-1] is None:
        raise ValueError(
            f'{type(backbone).__name__} needs component boxes, but the samples have '
            "none. Add dict(type='fdsr.ComponentBoxes') to the dataset's pipeline and "
            "data_keys=['boxes'] to mmagic.PackInputs.")
    options = {} if encoded is None else {'encoded': encoded}
    if hasattr(backbone, 'forward_steps'):
        return network(*arguments, all_steps=True, **options)
    return [network(*arguments, **options)]
