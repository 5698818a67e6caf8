"""Losses: pixel, perceptual, adversarial, and between features."""

from fdsr.models.losses.adversarial import AdversarialFeatureLoss, AdversarialImageLoss
from fdsr.models.losses.affinity import FeatureAffinityLoss
from fdsr.models.losses.feature import FeatureL1Loss
from fdsr.models.losses.lpips_loss import LPIPSLoss
from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.models.losses.pixel import PixelLoss

__all__ = [
    'AdversarialFeatureLoss', 'AdversarialImageLoss',
    'FeatureAffinityLoss', 'FeatureL1Loss', 'LPIPSLoss', 'PerceptualLoss',
    'PixelLoss'
]
