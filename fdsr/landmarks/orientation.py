"""Detection of faces in any orientation, by comparing rotated copies of the image.

A detector that was trained on upright faces also finds upside-down ones, and places the
landmarks of an upright face on them. Its landmarks then differ from copy to copy, while
those of the real orientation agree in all copies in which the face is nearly upright.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from fdsr.landmarks.base import FaceLandmarks, LandmarkDetector
from fdsr.landmarks.views import Box, distinct, rescaled

#: Rotations of the copies in degrees.
_ANGLES = (30, -30, 90, -90, 180, 150, -150)
#: Maximum of the longer side of a copy before its rotation; the input of detectors is
#: smaller.
_LONGEST = 1024
#: Maximum mean distance of the landmarks that agree, in eye distances.
_AGREES = 0.1
#: A face found in a copy weighs its confidence minus ``_CHANCE``; the image itself adds
#: ``_STORED``. A face that only the copies contain needs ``_NEW``.
_CHANCE, _STORED, _NEW = 0.4, 0.3, 0.8
#: Maximum distance of the centres of two detections of a face, in eye distances: those
#: of an upside-down face are up to 1.4 apart.
_SAME = 1.5
#: Side of the crop around a box in sides of the box.
_SURROUNDINGS = 2.0


def oriented_faces(detector: LandmarkDetector, image: np.ndarray
                   ) -> list[FaceLandmarks]:
    """Detects the faces of an image in any orientation, the largest first.

    If every face has at least the detector's ``sure_score``, the image is upright.
    Otherwise the detector also runs on seven rotated copies, and of several detections
    of a face, the one on which most copies agree is returned.

    Args:
        detector: detector of upright faces.
        image: uint8 (H, W, 3) RGB.

    Returns:
        Faces in pixels of the image. The order of the landmarks follows the face, so
        that the first eye of an upside-down face is at the image's right.
    """
    stored, sure = detector.detect_faces(image), detector.sure_score
    if not detector.check_orientation or stored and sure is not None and all(
            face.score is not None and face.score >= sure for face in stored):
        return stored
    views = [stored, *_rotated_faces(detector, image)]

    def weight(face: FaceLandmarks) -> float:
        return sum(max((_weight(other) for other in faces if _agree(face, other)),
                       default=0) for faces in views)

    copies = sorted(((weight(face), face) for faces in views[1:] for face in faces),
                    key=lambda pair: -pair[0])
    found = [max([(weight(face) + _STORED, face),
                  *(pair for pair in copies if _same_face(pair[1], face))],
                 key=lambda pair: pair[0])[1] for face in stored]
    found += [face for value, face in copies if value >= _NEW
              and not any(_same_face(face, one) for one in stored)]
    kept = {id(face) for face in stored}
    faces = distinct(found, lambda one, other: _same_face(one, other) and not (
        id(one) in kept and id(other) in kept))
    return sorted(faces, key=lambda face: -face.eye_distance)


def face_in_box(detector: LandmarkDetector, image: np.ndarray,
                box: Box) -> FaceLandmarks | None:
    """Returns the landmarks of the face nearest to the centre of a box, or None.

    Args:
        detector: detector of upright faces.
        image: uint8 (H, W, 3) RGB.
        box: x1, y1, x2, y2 in pixels.
    """
    centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    half = _SURROUNDINGS / 2 * max(box[2] - box[0], box[3] - box[1])
    x1, y1 = np.maximum(np.floor(centre - half), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(centre + half), image.shape[1::-1]).astype(int)
    if min(x2 - x1, y2 - y1) < 2:
        return None
    crop = np.ascontiguousarray(image[y1:y2, x1:x2])
    shift = np.array([[1, 0, x1], [0, 1, y1]])
    faces = [face.transformed(shift) for face in oriented_faces(detector, crop)]
    distances = [np.abs(face.points.mean(axis=0) - centre).max() for face in faces]
    if not faces or min(distances) > half / _SURROUNDINGS:
        return None
    return faces[int(np.argmin(distances))]


def _rotated_faces(detector: LandmarkDetector, image: np.ndarray
                   ) -> Iterator[list[FaceLandmarks]]:
    """Yields the faces of each rotated copy, in pixels of the image."""
    small = rescaled(image, min(1.0, _LONGEST / max(image.shape[:2])))
    scale = np.array(image.shape[1::-1]) / small.shape[1::-1]
    back = np.column_stack([np.diag(scale), (scale - 1) / 2])
    for angle in _ANGLES:
        copy, matrix = rotated(small, angle)
        inverse = cv2.invertAffineTransform(matrix)
        whole = back @ np.vstack([inverse, (0, 0, 1)])
        yield [face.transformed(whole) for face in detector.detect_faces(copy)
               if np.isfinite(face.points).all()]


def rotated(image: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotates an image counterclockwise; the result contains all of it.

    Args:
        image: uint8 (H, W, 3).
        angle: angle in degrees.

    Returns:
        The rotated image, whose outermost pixels are repeated, and the matrix (2, 3)
        from its pixels before to those after the rotation.
    """
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    size = np.rint(np.abs(matrix[:, :2]) @ (width, height)).astype(int)
    matrix[:, 2] += (size - (width, height)) / 2
    return cv2.warpAffine(image, matrix, tuple(map(int, size)), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE), matrix


def _weight(face: FaceLandmarks) -> float:
    """Returns the weight of a detection; detectors without confidences count fully."""
    return (1.0 if face.score is None else face.score) - _CHANCE


def _agree(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    """Returns True if two detections have the same landmarks."""
    apart = np.linalg.norm(first.points - second.points, axis=1).mean()
    return bool(apart <= _AGREES * max(first.eye_distance, second.eye_distance))


def _same_face(first: FaceLandmarks, second: FaceLandmarks) -> bool:
    """Returns True if two detections, of which one may be wrong, show the same face."""
    apart = np.linalg.norm(first.points.mean(axis=0) - second.points.mean(axis=0))
    return bool(apart < _SAME * max(first.eye_distance, second.eye_distance))
