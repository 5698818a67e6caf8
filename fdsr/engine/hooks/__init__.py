"""Hooks: exact resume, self-describing checkpoints, moving average, saved images."""

from fdsr.engine.hooks.ema import TrainedEMAHook
from fdsr.engine.hooks.exact_resume import ExactResumeHook
from fdsr.engine.hooks.save_images import SaveImagesHook
from fdsr.engine.hooks.self_describing import SelfDescribingHook

__all__ = [
    'ExactResumeHook', 'SaveImagesHook', 'SelfDescribingHook', 'TrainedEMAHook'
]
