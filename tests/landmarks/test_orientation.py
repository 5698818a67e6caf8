"""Faces in any orientation: copies that agree outvote the image itself."""

import numpy as np
import pytest

from fdsr.landmarks import FaceLandmarks, FaceLandmarks68, LandmarkDetector
from fdsr.landmarks.orientation import face_in_box, oriented_faces, rotated

FACE = np.array([[40, 50], [80, 50], [60, 72], [45, 95], [75, 95]], np.float32)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0],
                    [255, 0, 255]], np.uint8)


class Biased(LandmarkDetector):
    """Finds five coloured squares; a face that is not upright becomes another one."""

    sure_score = 0.9
    runs = 0

    def detect_faces(self, image):
        self.runs += 1
        points = []
        for colour in COLOURS:
            far = np.abs(image.astype(int) - colour).max(axis=-1)
            rows, columns = np.nonzero(far < 60)
            if not len(rows):
                return []
            points.append((columns.mean(), rows.mean()))
        points = np.array(points, np.float32)
        down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
        if down[1] < 0.4 * np.linalg.norm(down):  # an upright face in its place
            upright = FACE + points.mean(axis=0) - FACE.mean(axis=0)
            return [FaceLandmarks(upright.astype(np.float32), score=0.7)]
        return [FaceLandmarks(points, score=0.95 if down[0] ** 2 < 1 else 0.85)]


def image_of(turns):
    """Returns the image and its landmarks, rotated by 90 degrees ``turns`` times."""
    image = np.full((160, 140, 3), 128, np.uint8)
    for (x, y), colour in zip(FACE.astype(int), COLOURS):
        image[y - 3:y + 4, x - 3:x + 4] = colour
    points, width = FACE, 140
    for _ in range(turns):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        width = 300 - width
    return np.ascontiguousarray(np.rot90(image, turns)), points


@pytest.mark.parametrize('turns', range(4))
def test_the_landmarks_follow_the_face(turns):
    image, points = image_of(turns)
    detector = Biased()
    face, = oriented_faces(detector, image)
    assert np.abs(face.points - points).max() < 1.5
    assert detector.runs == (1 if turns == 0 else 8)
    wrong, = detector.detect_faces(image)
    assert (np.abs(wrong.points - points).max() < 1.5) == (turns == 0)


@pytest.mark.parametrize('turns', [0, 2])
def test_the_face_of_a_box_in_a_larger_image(turns):
    image, points = image_of(turns)
    photo = np.full((500, 400, 3), 128, np.uint8)
    photo[200:360, 100:240] = image
    centre = points.mean(axis=0) + (100, 200)
    box = (*(centre - 40).tolist(), *(centre + 40).tolist())
    assert np.abs(face_in_box(Biased(), photo, box).points
                  - points - (100, 200)).max() < 1.5
    assert face_in_box(Biased(), photo, (0, 0, 60, 60)) is None


def test_detectors_that_check_the_orientation_themselves_run_once():
    class Own(Biased):
        check_orientation = False

    detector = Own()
    oriented_faces(detector, image_of(2)[0])
    assert detector.runs == 1


def test_a_detector_without_confidences_keeps_its_faces():
    class Fixed(LandmarkDetector):
        def detect_faces(self, image):
            return [FaceLandmarks(FACE), FaceLandmarks(FACE / 2)]

    faces = oriented_faces(Fixed(), np.zeros((160, 140, 3), np.uint8))
    assert [face.eye_distance for face in faces] == [40, 20]


@pytest.mark.parametrize('angle', [0, 30, 90, 180, -150])
def test_rotation_and_its_matrix(angle):
    image, points = image_of(0)
    copy, matrix = rotated(image, angle)
    for (x, y), colour in zip(points @ matrix[:, :2].T + matrix[:, 2], COLOURS):
        assert np.abs(copy[round(y), round(x)].astype(int) - colour).max() < 5


def test_all_68_points_are_transformed():
    points = np.random.RandomState(0).rand(68, 2).astype(np.float32)
    face = FaceLandmarks68.of(points).transformed(np.array([[0, -1, 5], [1, 0, 7]]))
    expected = FaceLandmarks68.of(np.stack([5 - points[:, 1], points[:, 0] + 7], 1))
    assert np.allclose(face.all_points, expected.all_points)
    assert np.allclose(face.points, expected.points)


@pytest.mark.parametrize('turns', range(4))
def test_mediapipe_on_a_rotated_portrait(turns):
    pytest.importorskip('mediapipe')
    data = pytest.importorskip('skimage.data')
    from fdsr.landmarks import MediaPipeLandmarks, MediaPipePhotoLandmarks
    portrait = np.ascontiguousarray(data.astronaut()[:300, 60:360])
    detector = MediaPipeLandmarks()
    upright, = detector.detect_faces(portrait)
    assert upright.score > detector.sure_score
    points = upright.points
    for _ in range(turns):
        points = np.stack([points[:, 1], 299 - points[:, 0]], axis=1)
    image = np.ascontiguousarray(np.rot90(portrait, turns))
    face, = oriented_faces(detector, image)
    # its detector misses some rotated faces, which then remain unchanged
    found = MediaPipePhotoLandmarks().detect_faces(image)
    assert found or turns
    for one in (face, *found):
        apart = np.linalg.norm(one.points - points, axis=1).mean()
        assert apart < 0.15 * upright.eye_distance
