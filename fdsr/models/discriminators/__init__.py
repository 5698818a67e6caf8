"""Discriminators of feature maps and images."""

from fdsr.models.discriminators.feature_discriminator import FeatureDiscriminator

__all__ = ['FeatureDiscriminator']
