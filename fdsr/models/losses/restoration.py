"""The terms of equation (1) that need no teacher."""

from typing import Mapping, Sequence

from torch import Tensor, nn

from fdsr.models.resampling import downsample
from fdsr.registry import MODELS


def restoration_losses(outputs: Sequence[Tensor], gt: Tensor, pixel_loss: nn.Module,
                       perceptual_loss: nn.Module | None,
                       target_features: Mapping[str, Tensor] | None = None,
                       extra_losses: Mapping[str, nn.Module] | None = None
                       ) -> dict[str, Tensor]:
    """Returns the pixel and perceptual terms of equation (1).

    Each loss applies its own ``loss_weight``.

    Args:
        outputs: (B, 3, H, W) RGB in [0, 1], one per step of the network. The pixel term
            is summed over all steps; the perceptual term uses the last one. An earlier
            image of a progressive network is compared with GT downsampled to its size.
        gt: (B, 3, H, W) RGB in [0, 1].
        pixel_loss, perceptual_loss: called with (sr, gt).
        target_features: features of ``gt`` for the perceptual loss, if available.
        extra_losses: further losses, called with the last output and gt; the keys
            become names in the log.

    Returns:
        ``loss_pixel``, with a perceptual loss ``loss_perceptual``, and ``loss_NAME`` of
        each extra loss.
    """
    targets = [gt if output is outputs[-1] else downsample(gt, output.shape[-1])
               for output in outputs]
    losses = {'loss_pixel': sum(map(pixel_loss, outputs, targets))}
    if perceptual_loss is not None:
        known = {} if target_features is None else {'target_features': target_features}
        losses['loss_perceptual'] = perceptual_loss(outputs[-1], gt, **known)
    for name, loss in (extra_losses or {}).items():
        losses[f'loss_{name}'] = loss(outputs[-1], gt)
    return losses


def build_losses(configs: Mapping[str, dict] | None) -> nn.ModuleDict:
    """Builds a dict of losses from a dict of configs.

    Raises:
        ValueError: a name belongs to another loss.
    """
    taken = {'pixel', 'perceptual'} & set(configs or ())
    if taken:
        raise ValueError(f'extra_losses: {", ".join(sorted(taken))} is the name of '
                         'another loss; choose another one.')
    return nn.ModuleDict({name: MODELS.build(config)
                          for name, config in (configs or {}).items()})
