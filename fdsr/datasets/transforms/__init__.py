"""Transforms of a face: flips, component boxes, degradations."""
from fdsr.datasets.transforms.boxes import ComponentBoxes
from fdsr.datasets.transforms.degradation import DownsampleToLR
from fdsr.datasets.transforms.flip import FlipFace

__all__ = ['ComponentBoxes', 'DownsampleToLR', 'FlipFace']
