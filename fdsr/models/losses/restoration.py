"""The terms of equation (1) that need no teacher, and the weights of all terms."""

from typing import Dict, Optional, Sequence, Union

from torch import Tensor, nn

#: Weights of equation (1). The paper gives none. With ``literal``, all 1, the
#: adversarial term is about thirty times the pixel term, so the default is DFDNet's
#: weight of 100 for the pixel term, on images in [−1, 1].
LOSS_PRESETS: Dict[str, Dict[str, float]] = {
    'dfdnet': dict(pixel=100.0, perceptual=1.0, adversarial=1.0),
    'literal': dict(pixel=1.0, perceptual=1.0, adversarial=1.0),
}


def loss_weights(weights: Union[str, Dict[str, float]]) -> Dict[str, float]:
    """Returns the weights of a preset, or the given weights over those of ``dfdnet``.

    Raises:
        ValueError: unknown preset or term.
    """
    if isinstance(weights, str):
        if weights not in LOSS_PRESETS:
            raise ValueError(
                f'Unknown loss preset {weights!r}; expected one of '
                f'{", ".join(LOSS_PRESETS)}.')
        return dict(LOSS_PRESETS[weights])
    unknown = set(weights) - set(LOSS_PRESETS['dfdnet'])
    if unknown:
        raise ValueError(
            f'loss_weights: expected {", ".join(LOSS_PRESETS["dfdnet"])}, found '
            f'{", ".join(sorted(unknown))}.')
    return {**LOSS_PRESETS['dfdnet'], **weights}


def restoration_losses(outputs: Sequence[Tensor], gt: Tensor, pixel_loss: nn.Module,
                       perceptual_loss: Optional[nn.Module],
                       weights: Dict[str, float],
                       target_features: Optional[Dict[str, Tensor]] = None
                       ) -> Dict[str, Tensor]:
    """Returns the weighted pixel and perceptual terms of equation (1).

    Args:
        outputs: SR of every step of the network, (B, 3, H, W) RGB in [0, 1]. The pixel
            term is summed over the steps, the perceptual term uses the last one.
        gt: (B, 3, H, W) RGB in [0, 1].
        pixel_loss, perceptual_loss: called with (sr, gt); the second may be None.
        weights: with the keys ``pixel`` and ``perceptual``.
        target_features: precomputed features of ``gt``, see ``PerceptualLoss``.

    Returns:
        ``loss_pixel`` and, with a perceptual loss, ``loss_perceptual``.
    """
    losses = {
        'loss_pixel':
        weights['pixel'] * sum(pixel_loss(output, gt) for output in outputs)
    }
    if perceptual_loss is not None:
        known = {} if target_features is None else dict(target_features=target_features)
        losses['loss_perceptual'] = (
            weights['perceptual'] * perceptual_loss(outputs[-1], gt, **known))
    return losses
