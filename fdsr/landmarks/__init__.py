"""Landmark detectors with a common interface."""

from fdsr.landmarks.base import (
    FaceLandmarks,
    FaceLandmarks68,
    FoundFace,
    LandmarkDetector,
)
from fdsr.landmarks.choosing import (
    default_detector,
    default_photo_detector,
    named_detector,
)
from fdsr.landmarks.face_alignment import FaceAlignmentLandmarks
from fdsr.landmarks.mediapipe import MediaPipe68Landmarks, MediaPipeLandmarks
from fdsr.landmarks.mediapipe_photo import MediaPipePhotoLandmarks
from fdsr.landmarks.yunet import YuNetLandmarks, YuNetPhotoLandmarks

__all__ = ['FaceAlignmentLandmarks', 'FaceLandmarks', 'FaceLandmarks68', 'FoundFace',
           'LandmarkDetector', 'MediaPipe68Landmarks', 'MediaPipeLandmarks',
           'MediaPipePhotoLandmarks', 'YuNetLandmarks', 'YuNetPhotoLandmarks',
           'default_detector', 'default_photo_detector', 'named_detector']
