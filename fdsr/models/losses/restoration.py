"""The terms of equation (1) that need no teacher, and how the terms are weighed."""

from typing import Dict, Optional, Sequence, Union

from torch import Tensor, nn

#: Weights of equation (1). The paper writes none. ``literal`` takes it at its word;
#: then the adversarial term is some thirty times the pixel term, so the default is
#: DFDNet's weight of 100 for the pixel term, on images in [−1, 1].
LOSS_PRESETS: Dict[str, Dict[str, float]] = {
    'dfdnet': dict(pixel=100.0, perceptual=1.0, adversarial=1.0),
    'literal': dict(pixel=1.0, perceptual=1.0, adversarial=1.0),
}


def loss_weights(weights: Union[str, Dict[str, float]]) -> Dict[str, float]:
    """A preset's weights, or given ones over those of ``dfdnet``.

    Raises:
        ValueError: unknown preset or term.
    """
    if isinstance(weights, str):
        if weights not in LOSS_PRESETS:
            raise ValueError(
                f'Unknown loss preset {weights!r}; there are '
                f'{", ".join(LOSS_PRESETS)}.')
        return dict(LOSS_PRESETS[weights])
    unknown = set(weights) - set(LOSS_PRESETS['dfdnet'])
    if unknown:
        raise ValueError(
            f'loss_weights knows {", ".join(LOSS_PRESETS["dfdnet"])}; found '
            f'{", ".join(sorted(unknown))}.')
    return {**LOSS_PRESETS['dfdnet'], **weights}


def restoration_losses(outputs: Sequence[Tensor], gt: Tensor, pixel_loss: nn.Module,
                       perceptual_loss: Optional[nn.Module],
                       weights: Dict[str, float],
                       wanted: Optional[Dict[str, Tensor]] = None
                       ) -> Dict[str, Tensor]:
    """Pixel and perceptual terms of equation (1).

    Args:
        outputs: (B, 3, H, W) RGB in [0, 1], one a step of the network. The pixel
            term is summed over all steps, the perceptual one looks at the last.
        gt: (B, 3, H, W) RGB in [0, 1].
        pixel_loss, perceptual_loss: called with (sr, gt); the second may be None.
        weights: with the keys ``pixel`` and ``perceptual``.
        wanted: GT's features, for a perceptual loss that takes them.

    Returns:
        ``loss_pixel`` and, if asked for, ``loss_perceptual``, weighted.
    """
    losses = {
        'loss_pixel':
        weights['pixel'] * sum(pixel_loss(output, gt) for output in outputs)
    }
    if perceptual_loss is not None:
        known = {} if wanted is None else dict(wanted=wanted)
        losses['loss_perceptual'] = (
            weights['perceptual'] * perceptual_loss(outputs[-1], gt, **known))
    return losses
