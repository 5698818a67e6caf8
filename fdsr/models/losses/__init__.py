"""Losses: pixel, perceptual, and between features."""

from fdsr.models.losses.feature import AdversarialFeatureLoss, FeatureL1Loss
from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.models.losses.pixel import PixelLoss
from fdsr.models.losses.restoration import LOSS_PRESETS, loss_weights

__all__ = [
    'LOSS_PRESETS', 'AdversarialFeatureLoss', 'FeatureL1Loss', 'PerceptualLoss',
    'PixelLoss', 'loss_weights'
]
