"""Measures the cost of networks: parameters, multiply-adds, time and memory."""

from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import Profile, profile_backbone

__all__ = ['Profile', 'detection_part', 'profile_backbone']
