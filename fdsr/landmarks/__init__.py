"""Finding faces' landmarks: detectors behind one interface."""

from fdsr.landmarks.base import (
    DEFAULT_DETECTOR,
    DEFAULT_PHOTO_DETECTOR,
    FaceLandmarks,
    FaceLandmarks68,
    FoundFace,
    LandmarkDetector,
)
from fdsr.landmarks.face_alignment import FaceAlignmentLandmarks
from fdsr.landmarks.mediapipe import MediaPipeLandmarks
from fdsr.landmarks.mediapipe_photo import MediaPipePhotoLandmarks

__all__ = [
    'DEFAULT_DETECTOR', 'DEFAULT_PHOTO_DETECTOR', 'FaceAlignmentLandmarks',
    'FaceLandmarks', 'FaceLandmarks68', 'FoundFace', 'LandmarkDetector',
    'MediaPipeLandmarks', 'MediaPipePhotoLandmarks'
]
