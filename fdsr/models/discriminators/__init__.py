"""Discriminators of feature maps and images."""

from fdsr.models.discriminators.feature_discriminator import FeatureDiscriminator
from fdsr.models.discriminators.progressive_discriminator import (
    ProgressiveDiscriminator,
)

__all__ = ['FeatureDiscriminator', 'ProgressiveDiscriminator']
