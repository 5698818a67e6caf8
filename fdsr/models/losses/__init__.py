"""Losses: pixel, perceptual, adversarial, attention, and between features."""

from fdsr.models.losses.adversarial import AdversarialFeatureLoss, AdversarialImageLoss
from fdsr.models.losses.affinity import FeatureAffinityLoss
from fdsr.models.losses.atoms import AtomLoss
from fdsr.models.losses.feature import FeatureL1Loss
from fdsr.models.losses.heatmap import FacialAttentionLoss, HeatmapLoss
from fdsr.models.losses.lpips_loss import LPIPSLoss
from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.models.losses.periodicity import PeriodicityLoss
from fdsr.models.losses.pixel import PixelLoss
from fdsr.models.losses.wasserstein import WassersteinLoss

__all__ = [
    'AdversarialFeatureLoss', 'AdversarialImageLoss', 'AtomLoss', 'FacialAttentionLoss',
    'FeatureAffinityLoss', 'FeatureL1Loss', 'HeatmapLoss', 'LPIPSLoss',
    'PerceptualLoss', 'PeriodicityLoss', 'PixelLoss', 'WassersteinLoss'
]
