"""Features of frozen networks, computed once and stored on disk."""

from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.feature_cache.store import FeatureStore

__all__ = ['FeatureStore', 'FrozenFeatures']
