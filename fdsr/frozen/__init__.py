"""Features of frozen networks, computed once and kept on disk."""

from fdsr.frozen.features import FrozenFeatures
from fdsr.frozen.store import FeatureStore

__all__ = ['FeatureStore', 'FrozenFeatures']
