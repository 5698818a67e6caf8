"""Networks that tell the teacher's features from the student's."""

from fdsr.models.discriminators.feature_discriminator import FeatureDiscriminator

__all__ = ['FeatureDiscriminator']
