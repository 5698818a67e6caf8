"""Transforms of a face: flips, component boxes, degradations."""
from fdsr.datasets.transforms.blind_degradation import BlindDegradation
from fdsr.datasets.transforms.boxes import ComponentBoxes
from fdsr.datasets.transforms.degradation import DownsampleToLR
from fdsr.datasets.transforms.degradation_steps import (
    AddNoise,
    BlurFace,
    CompressJPEG,
    DegradationStep,
    ShrinkFace,
)
from fdsr.datasets.transforms.flip import FlipFace

__all__ = [
    'AddNoise', 'BlindDegradation', 'BlurFace', 'ComponentBoxes', 'CompressJPEG',
    'DegradationStep', 'DownsampleToLR', 'FlipFace', 'ShrinkFace'
]
