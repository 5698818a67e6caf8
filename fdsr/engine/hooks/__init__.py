"""Hooks: checkpoints, exact resume, EMA, images, progress, steps, divergence."""

from fdsr.engine.hooks.checkpoint import CheckpointHook
from fdsr.engine.hooks.ema import TrainedEMAHook
from fdsr.engine.hooks.exact_resume import ExactResumeHook
from fdsr.engine.hooks.progress import ProgressHook
from fdsr.engine.hooks.progressive import ProgressiveHook
from fdsr.engine.hooks.save_images import SaveImagesHook
from fdsr.engine.hooks.self_describing import SelfDescribingHook
from fdsr.engine.hooks.stop_on_non_finite import StopOnNonFiniteHook

__all__ = [
    'CheckpointHook', 'ExactResumeHook', 'ProgressHook', 'ProgressiveHook',
    'SaveImagesHook', 'SelfDescribingHook', 'StopOnNonFiniteHook', 'TrainedEMAHook'
]
