"""Finding faces' landmarks: detectors behind one interface."""

from fdsr.landmarks.base import (
    DEFAULT_DETECTOR,
    DEFAULT_PHOTO_DETECTOR,
    FaceLandmarks,
    FoundFace,
    LandmarkDetector,
)
from fdsr.landmarks.mediapipe import MediaPipeLandmarks
from fdsr.landmarks.mediapipe_photo import MediaPipePhotoLandmarks

__all__ = [
    'DEFAULT_DETECTOR', 'DEFAULT_PHOTO_DETECTOR', 'FaceLandmarks', 'FoundFace',
    'LandmarkDetector', 'MediaPipeLandmarks', 'MediaPipePhotoLandmarks'
]
