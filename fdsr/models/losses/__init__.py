"""Losses: pixel, perceptual, adversarial, and between features."""

from fdsr.models.losses.adversarial import AdversarialFeatureLoss, AdversarialImageLoss
from fdsr.models.losses.affinity import FeatureAffinityLoss
from fdsr.models.losses.feature import FeatureL1Loss
from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.models.losses.pixel import PixelLoss
from fdsr.models.losses.restoration import LOSS_PRESETS, loss_weights

__all__ = [
    'LOSS_PRESETS', 'AdversarialFeatureLoss', 'AdversarialImageLoss',
    'FeatureAffinityLoss', 'FeatureL1Loss', 'PerceptualLoss', 'PixelLoss',
    'loss_weights'
]
