"""Face Mesh's five points: where they are, and what happens without a face."""

import csv
import pickle

import numpy as np
import pytest
from PIL import Image

from fdsr.geometry.components import boxes_from_five_points
from fdsr.landmarks import FaceLandmarks, LandmarkDetector, MediaPipeLandmarks
from fdsr.registry import LANDMARKS
from tests.conftest import SHARED

pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')


@pytest.fixture(scope='module')
def detector():
    return LANDMARKS.build(dict(type='fdsr.MediaPipeLandmarks'))


@pytest.fixture(scope='module')
def astronaut():
    data = pytest.importorskip('skimage.data', reason='needs fdsr[tests]')
    return data.astronaut()


def test_five_points_of_a_face(detector, astronaut):
    face = detector.detect([astronaut])[0]
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert face.points.dtype == np.float32
    # her face lies about (225, 120), her eyes some 45 px apart
    assert 35 < face.eye_distance < 55
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert left_mouth[0] < right_mouth[0]
    assert np.linalg.norm(nose - (227, 127)) < 15
    boxes = face.component_boxes(512)
    assert np.array_equal(boxes, boxes_from_five_points(face.points, 512))


def test_points_follow_the_picture(detector, astronaut):
    """Whatever is done to the picture before the detector sees it is undone."""
    crop = astronaut[40:220, 130:330]
    points = detector.detect([crop])[0].points
    moved = detector.detect([np.ascontiguousarray(crop[8:, 4:])])[0].points
    assert np.abs(moved + (4, 8) - points).max() < 2
    small = np.array(Image.fromarray(crop).resize((100, 90), Image.BICUBIC))
    halved = detector.detect([small])[0].points
    assert np.abs((halved + 0.5) * 2 - 0.5 - points).max() < 2.5
    mirrored = detector.detect([np.ascontiguousarray(crop[:, ::-1])])[0].points
    swapped = points[[1, 0, 2, 4, 3]]
    assert np.abs((199 - swapped[:, 0]) - mirrored[:, 0]).max() < 3


def test_no_face_is_none(detector, astronaut):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = detector.detect([noise, astronaut])
    assert found[0] is None and found[1] is not None
    assert detector.detect([]) == []


def test_several_faces_largest_first(astronaut):
    face = astronaut[30:230, 120:340]
    small = np.array(Image.fromarray(face).resize((110, 100), Image.BICUBIC))
    picture = np.full((200, 360, 3), 127, np.uint8)
    picture[50:150, :110], picture[:, 140:] = small, face
    detector = MediaPipeLandmarks(max_faces=3, padding=0)
    faces = detector.detect_faces(picture)
    assert len(faces) == 2
    assert faces[0].eye_distance > 1.5 * faces[1].eye_distance
    assert np.array_equal(detector.detect([picture])[0].points, faces[0].points)


def test_what_is_no_picture_is_refused(detector):
    for bad in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32),
                np.zeros((0, 8, 3), np.uint8), Image.new('RGB', (8, 8))):
        with pytest.raises(ValueError, match='uint8 images'):
            detector.detect([bad])
    with pytest.raises(ValueError, match='padding'):
        MediaPipeLandmarks(padding=-1)


def test_a_detector_travels_without_its_models(detector, astronaut):
    before = detector.detect([astronaut])[0].points
    again = pickle.loads(pickle.dumps(detector)).detect([astronaut])[0].points
    assert np.array_equal(before, again)


def test_points_are_those_of_the_csv(detector):
    """The photographs' own landmarks, made by another run of Face Mesh."""
    table = SHARED / 'faces/bb_landmark/loose_landmark_test.csv'
    if not table.is_file():
        pytest.skip(f'{table} is not there')
    errors = []
    for name, *values in list(csv.reader(table.open()))[1:31]:
        expected = np.array(values, float).reshape(5, 2)
        image = np.array(Image.open(SHARED / f'faces/test/{name}.jpg').convert('RGB'))
        face = detector.detect([image])[0]
        errors.append(np.linalg.norm(face.points - expected, axis=1)
                      / np.linalg.norm(expected[1] - expected[0]))
    assert np.mean(errors, axis=0).max() < 0.02  # of the distance of the eyes


def test_a_detector_of_ones_own_needs_one_method():
    class Fixed(LandmarkDetector):
        def detect_faces(self, image):
            points = np.arange(10, dtype=np.float32).reshape(5, 2)
            return [FaceLandmarks(points)] if image.any() else []

    empty, full = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4, 3), np.uint8)
    found = Fixed().detect([empty, full])
    assert found[0] is None and found[1].points[4, 1] == 9


def test_68_points_are_consistent_with_the_five(detector, astronaut):
    crop = np.ascontiguousarray(astronaut[40:220, 130:330])
    five = detector.detect([crop])[0]
    face = LANDMARKS.build(dict(type='fdsr.MediaPipe68Landmarks')).detect([crop])[0]
    assert face.all_points.shape == (68, 2) and face.score == five.score
    # nose tip and mouth corners are the same points, eyes are near the irises
    assert np.abs(face.points[2:] - five.points[2:]).max() < 0.01
    assert np.linalg.norm(face.points[:2] - five.points[:2], axis=1).max() < (
        0.1 * five.eye_distance)
    x, y = face.all_points.T
    assert (np.diff(x[:17]) > -2).all() and y[8] == y.max()  # jaw from left to right
    assert (np.diff(x[17:27]) > 0).all()  # brows
    assert (np.diff(y[27:31]) > 0).all() and (np.diff(x[31:36]) > 0).all()  # nose
    assert y[[37, 38, 43, 44]].max() < y[[40, 41, 46, 47]].min()  # lids
    assert y[51] < y[62] <= y[66] < y[57] and x[48] < x[60] < x[64] < x[54]  # lips
    assert y[17:27].max() < y[36:48].min() < y[31] < y[48:68].min()
