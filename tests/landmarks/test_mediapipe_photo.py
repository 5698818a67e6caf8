"""Every face of a photograph: small ones, many, none."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from fdsr.landmarks import FaceLandmarks, LandmarkDetector, MediaPipePhotoLandmarks
from fdsr.landmarks.mediapipe_photo import windows
from fdsr.registry import LANDMARKS
from tests import warm

pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
#: Centre of the astronaut's face, and the distance of her eyes, in 512 px.
CENTRE, EYES = np.array([225, 120]), 45


@pytest.fixture(scope='module')
def detector():
    return LANDMARKS.build(dict(type='fdsr.MediaPipePhotoLandmarks'))


@pytest.fixture(scope='module')
def astronaut():
    data = pytest.importorskip('skimage.data', reason='needs fdsr[tests]')
    return Image.fromarray(data.astronaut())


@pytest.mark.parametrize('side', [512, 128, 80])
def test_one_face_where_it_is(detector, astronaut, side):
    faces = detector.find_faces(np.array(astronaut.resize((side, side))))
    assert len(faces) == 1
    points, scale = faces[0].landmarks.points, side / 512
    assert np.linalg.norm(points.mean(0) - CENTRE * scale) < 20 * scale
    assert abs(faces[0].landmarks.eye_distance - EYES * scale) < 10 * scale
    x1, y1, x2, y2 = faces[0].box
    assert x1 < CENTRE[0] * scale < x2 and y1 < CENTRE[1] * scale < y2


def test_a_hundred_faces(detector, astronaut):
    face = np.array(astronaut.crop((130, 20, 320, 210)).resize((48, 48)))
    faces = detector.detect_faces(np.tile(face, (10, 10, 1)))
    cells = {tuple((face.points.mean(0) // 48).astype(int)) for face in faces}
    assert len(faces) == 100 and len(cells) == 100


def test_a_small_face_of_a_large_photograph(detector, astronaut):
    photo = np.full((1200, 1600, 3), 120, np.uint8)
    photo[700:764, 1100:1164] = np.array(
        astronaut.crop((130, 20, 320, 210)).resize((64, 64)))
    faces = detector.find_faces(photo)
    assert len(faces) == 1
    assert np.linalg.norm(faces[0].landmarks.points.mean(0) - (1132, 734)) < 10


def test_a_face_is_found_once_though_a_coarse_look_sees_a_larger_one(
        detector, astronaut):
    photo = np.full((3000, 4000, 3), 120, np.uint8)
    photo[1000:1100, 2000:2100] = np.array(astronaut.resize((100, 100)))
    face, = detector.find_faces(photo)
    assert np.linalg.norm(
        face.landmarks.points.mean(0) - (2000, 1000) - CENTRE * 100 / 512) < 4


def test_no_face(detector):
    assert detector.find_faces(np.full((300, 200, 3), 120, np.uint8)) == []
    assert detector.find_faces(np.zeros((1, 1, 3), np.uint8)) == []


def test_a_face_of_five_pixels_is_not_found(detector, astronaut):
    photo = np.full((64, 64, 3), 120, np.uint8)
    photo[30:35, 30:35] = np.array(astronaut.crop((180, 60, 270, 150)).resize((5, 5)))
    assert detector.find_faces(photo) == []


def test_windows_cover_the_photograph_and_overlap():
    found = windows((300, 500, 3), 2)
    assert found[0] == (0, 0, 500, 300)
    seen = np.zeros((300, 500), int)
    for x1, y1, x2, y2 in found[1:]:
        assert 0 <= x1 < x2 <= 500 and 0 <= y1 < y2 <= 300
        seen[y1:y2, x1:x2] += 1
    assert seen.min() >= 2  # once in either size
    halves = [window for window in found if window[2] - window[0] == 250]
    assert {window[0] for window in halves} == {0, 125, 250}


def test_a_detector_of_landmarks_alone_serves_photographs_too():
    points = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], np.float32)

    class Given(LandmarkDetector):
        def detect_faces(self, image):
            return [FaceLandmarks(points)]

    face, = Given().find_faces(np.zeros((40, 40, 3), np.uint8))
    assert face.landmarks.points is points
    assert face.box == pytest.approx((5, 5, 25, 25))


def test_refuses_settings_out_of_range():
    with pytest.raises(ValueError, match='min_confidence'):
        MediaPipePhotoLandmarks(min_confidence=0)
    with pytest.raises(ValueError, match='halvings'):
        MediaPipePhotoLandmarks(halvings=9)


def test_the_native_log_is_not_heard_and_ours_is():
    """In a process of its own: the libraries speak once."""
    code = ('import warnings\nwarnings.simplefilter("ignore")\n'
            'import numpy as np, sys, skimage.data\n'
            'from fdsr.landmarks import MediaPipePhotoLandmarks\n'
            'faces = MediaPipePhotoLandmarks().find_faces(skimage.data.astronaut())\n'
            'print(len(faces), file=sys.stderr)')
    shown = subprocess.run([warm.python(warm.TORCH), '-c', code], capture_output=True,
                           text=True)
    assert shown.stderr == '1\n' and shown.stdout == ''


def test_no_shape_ends_the_process():
    """In a process of its own: MediaPipe would abort it."""
    code = ('import warnings\nwarnings.simplefilter("ignore")\n'
            'import numpy as np\n'
            'from fdsr.landmarks import MediaPipeLandmarks, MediaPipePhotoLandmarks\n'
            'detectors = MediaPipeLandmarks(padding=2), '
            'MediaPipePhotoLandmarks(halvings=1)\n'
            'for shape in (64, 32767), (40000, 3), (1, 70000), (2, 2):\n'
            '    for detector in detectors:\n'
            '        image = np.full((*shape, 3), 90, np.uint8)\n'
            '        assert detector.find_faces(image) == []')
    done = subprocess.run([warm.python(warm.TORCH), '-c', code], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


def test_a_face_of_a_long_strip_is_found(astronaut):
    strip = np.full((256, 34000, 3), 120, np.uint8)
    strip[:, 33000:33256] = np.array(astronaut.resize((256, 256)))
    face, = MediaPipePhotoLandmarks(halvings=6).detect_faces(strip)
    assert np.linalg.norm(face.points.mean(0) - (33000, 0) - CENTRE / 2) < 10
