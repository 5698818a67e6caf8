"""Finding faces' landmarks: detectors behind one interface."""

from fdsr.landmarks.base import DEFAULT_DETECTOR, FaceLandmarks, LandmarkDetector
from fdsr.landmarks.mediapipe import MediaPipeLandmarks

__all__ = [
    'DEFAULT_DETECTOR', 'FaceLandmarks', 'LandmarkDetector', 'MediaPipeLandmarks'
]
