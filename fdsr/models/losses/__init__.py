"""Losses: pixel, perceptual, adversarial, and between features."""

from fdsr.models.losses.adversarial import AdversarialFeatureLoss, AdversarialImageLoss
from fdsr.models.losses.affinity import FeatureAffinityLoss
from fdsr.models.losses.contrastive import ContrastiveLoss
from fdsr.models.losses.feature import FeatureL1Loss, OutputDistillLoss
from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.models.losses.pixel import PixelLoss
from fdsr.models.losses.sliced_wasserstein import SlicedWassersteinLoss

__all__ = [
    'AdversarialFeatureLoss', 'AdversarialImageLoss',
    'ContrastiveLoss', 'FeatureAffinityLoss', 'FeatureL1Loss', 'OutputDistillLoss',
    'PerceptualLoss', 'PixelLoss', 'SlicedWassersteinLoss'
]
