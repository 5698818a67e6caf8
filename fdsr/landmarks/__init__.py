"""Finding faces' landmarks: detectors behind one interface."""

from fdsr.landmarks.base import FaceLandmarks, LandmarkDetector
from fdsr.landmarks.mediapipe import MediaPipeLandmarks

__all__ = ['FaceLandmarks', 'LandmarkDetector', 'MediaPipeLandmarks']
