"""YuNet through the real cv2.FaceDetectorYN: coordinates, windows, broken files."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from fdsr.landmarks import MediaPipeLandmarks, YuNetLandmarks, YuNetPhotoLandmarks
from fdsr.landmarks.yunet import find_yunet
from fdsr.registry import LANDMARKS
from fdsr.weights import SOURCES, sha256_of
from tests.landmarks.toy_yunet import CHANNELS, HEIGHT, OFFSETS, WIDTH, write_toy_yunet

RED, BLUE = (255, 0, 0), (0, 0, 255)
NAME = SOURCES['yunet'].filename


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Scores each cell of 8 × 8 of YuNet's 640 × 640 by how red it is."""
    return write_toy_yunet(tmp_path_factory.mktemp('toy') / 'toy.onnx')


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """An empty folder is all there is to look into."""
    folder = tmp_path / 'weights'
    folder.mkdir()
    monkeypatch.setenv('FDSR_WEIGHTS', str(folder))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    return folder


def painted(shape, *blocks, colour=RED):
    """A black image with blocks x1, y1, x2, y2."""
    image = np.zeros((*shape, 3), np.uint8)
    for x1, y1, x2, y2 in blocks:
        image[y1:y2, x1:x2] = colour
    return image


def points_at(x, y, scale=1.0):
    """Points of a face at a cell's centre, counted from the image's edge."""
    return np.array([x, y]) + OFFSETS * scale - 0.5


def test_points_and_box_of_a_cell(model):
    image = painted((640, 640), (160, 80, 168, 88))
    detector = LANDMARKS.build(dict(type='fdsr.YuNetLandmarks', model=str(model)))
    face, = detector.detect_faces(image)
    assert face.points.dtype == np.float32
    assert np.array_equal(face.points, points_at(164, 84))
    assert face.points[0, 0] < face.points[1, 0]  # the image's left eye comes first
    assert face.points[3, 0] < face.points[4, 0]
    found, = detector.find_faces(image)
    assert found.box == pytest.approx(
        (164 - WIDTH / 2, 84 - HEIGHT / 2, 164 + WIDTH / 2, 84 + HEIGHT / 2))
    assert np.array_equal(found.landmarks.points, face.points)


def test_the_model_receives_bgr(model):
    detector = YuNetLandmarks(model)
    assert detector.detect_faces(painted((640, 640), (8, 8, 16, 16), colour=BLUE)) == []
    assert detector.detect([np.zeros((9, 9, 3), np.uint8)]) == [None]


@pytest.mark.parametrize('shape, block', [
    ((160, 320), (80, 40, 84, 44)),       # scaled by 2
    ((640, 1280), (320, 160, 336, 176)),  # by a half
    ((333, 1000), (248, 123, 265, 140)),  # by 0.64, and 213 / 333 in height
])
def test_scaling_is_undone(model, shape, block):
    face, = YuNetLandmarks(model).detect_faces(painted(shape, block))
    scale = np.array([640 / shape[1], round(shape[0] * 640 / shape[1]) / shape[0]])
    expected = (np.array([164, 84]) + OFFSETS) / scale - 0.5
    assert np.abs(face.points - expected).max() < 1e-3


def test_the_border_continues_the_image_and_is_undone(model):
    # 4 rows at the upper edge: a quarter of a cell, but the border repeats them
    image = painted((640, 640), (320, 0, 336, 4))
    assert YuNetLandmarks(model, padding=0).detect_faces(image) == []
    faces = YuNetLandmarks(model).detect_faces(image)
    # with the border the image is 320 px in the middle of 640; OpenCV keeps boxes that
    # share at most 0.3 of their union, which are 48 px apart
    expected = [points_at((324 - 160) * 2, (4 + 48 * number - 160) * 2, 2)
                for number in range(4)]
    assert np.array_equal(sorted(face.points[0, 1] for face in faces),
                          [points[0, 1] for points in expected])
    assert {face.points[0, 0] for face in faces} == {expected[0][0, 0]}


def test_of_two_looks_the_more_confident_counts_once(model):
    image = painted((640, 640), (320, 320, 336, 336))
    face, = YuNetLandmarks(model).detect_faces(image)
    assert face.eye_distance == pytest.approx(np.linalg.norm(OFFSETS[1] - OFFSETS[0]))


def test_confidence(model):
    image = painted((640, 640), (160, 80, 168, 88), colour=(100, 0, 0))
    assert YuNetLandmarks(model).detect_faces(image) == []
    assert len(YuNetLandmarks(model, min_confidence=0.3).detect_faces(image)) == 1


@pytest.mark.parametrize('left', [1008, 1264])  # also where a window ends in the face
def test_windows_find_small_faces_once(model, left):
    photo = painted((2560, 2560), (left, 608, left + 16, 624))
    assert YuNetLandmarks(model).detect_faces(photo) == []
    detector = YuNetPhotoLandmarks(model, halvings=1)
    face, = detector.find_faces(photo)
    assert np.array_equal(face.landmarks.points, points_at(left + 8, 616, 2))
    assert face.box[0] == left + 8 - WIDTH
    points, = detector.detect_faces(photo)
    assert np.array_equal(points.points, face.landmarks.points)


def test_large_faces_first_and_narrow_ones_left_out(model):
    photo = painted((1280, 1280), (200, 200, 208, 208), (800, 800, 816, 816))
    faces = YuNetLandmarks(model).find_faces(photo)
    assert [face.box[2] - face.box[0] for face in faces] == [2 * WIDTH, WIDTH]
    assert len(YuNetLandmarks(model, min_box=100).find_faces(photo)) == 1


@pytest.mark.parametrize('shape', [(1, 1), (1, 70000), (40000, 3), (2, 5000)])
def test_extreme_shapes_do_no_harm(model, shape):
    detector = YuNetPhotoLandmarks(model)
    assert detector.detect_faces(np.zeros((*shape, 3), np.uint8)) == []
    assert detector.find_faces(np.full((*shape, 3), 255, np.uint8)) is not None


def test_what_is_no_image_is_refused(model):
    with pytest.raises(ValueError, match='uint8 images'):
        YuNetLandmarks(model).detect_faces(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match='YuNetLandmarks: expected 0 < min_confidence'):
        YuNetLandmarks(model, min_confidence=0)


def test_a_detector_travels_without_its_model(model):
    image, detector = painted((640, 640), (160, 80, 168, 88)), YuNetLandmarks(model)
    before = detector.detect([image])[0].points
    again = pickle.loads(pickle.dumps(detector)).detect([image])[0].points
    assert np.array_equal(before, again)


# The model file

def refusal(path):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        YuNetLandmarks(path).detect_faces(np.zeros((8, 8, 3), np.uint8))
    message = str(error.value)
    assert str(path) in message and SOURCES['yunet'].url in message
    return message


@pytest.mark.parametrize('content', [b'', b'no network' * 99])
def test_a_file_that_is_no_network(tmp_path, content):
    path = tmp_path / 'broken.onnx'
    path.write_bytes(content)
    assert 'expected an ONNX file of the face detector YuNet' in refusal(path)


def test_networks_with_other_outputs(tmp_path):
    fewer = {name: CHANNELS[name] for name in ('cls', 'obj', 'bbox')}
    message = refusal(write_toy_yunet(tmp_path / 'fewer.onnx', fewer))
    assert 'bbox_N, kps_N' in message and 'OpenCV' in message
    other = write_toy_yunet(tmp_path / 'other.onnx', {**CHANNELS, 'kps': 8})
    message = refusal(other)
    assert 'kps_8 has 51200 values' in message and 'expected 64000' in message


def test_the_published_file_is_checked(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(b'version https://git-lfs.github.com/spec/v1\n')
    message = refusal(path)
    assert SOURCES['yunet'].sha256 in message and 'Git LFS' in message


def test_missing_files(tmp_path, no_weights):
    assert 'found no file' in refusal(tmp_path / 'nowhere.onnx')
    with pytest.raises(ValueError, match=r'expected a file \*\.onnx'):
        (tmp_path / 'model.pb').write_bytes(b'')
        YuNetLandmarks(tmp_path / 'model.pb').detect([np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(FileNotFoundError, match=f'no {NAME} in .FDSR_WEIGHTS') as error:
        YuNetLandmarks().detect([np.zeros((8, 8, 3), np.uint8)])
    assert SOURCES['yunet'].url in str(error.value)


def test_the_published_file_is_found_without_a_path(model, no_weights, monkeypatch):
    monkeypatch.setitem(SOURCES, 'yunet', replace(
        SOURCES['yunet'], sha256=sha256_of(model)))
    (no_weights / NAME).write_bytes(model.read_bytes())
    assert find_yunet() == no_weights / NAME
    image = painted((640, 640), (160, 80, 168, 88))
    assert len(YuNetLandmarks().detect_faces(image)) == 1


def test_the_published_model_agrees_with_mediapipe():
    if find_yunet() is None:
        pytest.skip(f'needs {NAME}: {SOURCES["yunet"].get}')
    pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
    data = pytest.importorskip('skimage.data', reason='needs fdsr[tests]')
    image = data.astronaut()
    face, = YuNetPhotoLandmarks().detect_faces(image)
    expected = MediaPipeLandmarks().detect([image])[0]
    errors = np.linalg.norm(face.points - expected.points, axis=1)
    assert errors.max() < 0.25 * expected.eye_distance
