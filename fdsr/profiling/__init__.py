"""What networks cost: parameters, arithmetic, time, memory, and a teacher's parts."""

from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import Profile, profile_backbone

__all__ = ['Profile', 'detection_part', 'profile_backbone']
