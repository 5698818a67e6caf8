"""Transforms of a face: flips, component boxes, degradations."""
from fdsr.datasets.transforms.basic import (
    ComponentBoxes,
    DownsampleToLR,
    FlipFace,
    PackLandmarks,
    TintFace,
)
from fdsr.datasets.transforms.blind_degradation import BlindDegradation
from fdsr.datasets.transforms.degradation_mix import OneOf, ResizeFace
from fdsr.datasets.transforms.degradation_steps import (
    AddNoise,
    BlurFace,
    CompressJPEG,
    DegradationStep,
    ShrinkFace,
)

__all__ = [
    'AddNoise', 'BlindDegradation', 'BlurFace', 'ComponentBoxes', 'CompressJPEG',
    'DegradationStep', 'DownsampleToLR', 'FlipFace', 'OneOf', 'PackLandmarks',
    'ResizeFace', 'ShrinkFace', 'TintFace'
]
