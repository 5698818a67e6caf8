"""Which detector is used where none is named, and what is said without any."""

import subprocess
from dataclasses import replace

import pytest

from fdsr.landmarks import choosing, default_detector, default_photo_detector
from fdsr.landmarks.choosing import detector_config, named_detector
from fdsr.preparation.landmarks.extraction import ExtractionSettings
from fdsr.weights import SOURCES, sha256_of
from tests import warm
from tests.conftest import REPOSITORY

NAME = SOURCES['yunet'].filename
#: Packages that an installation for restoring alone does without.
ABSENT = ('mmcv', 'mmagic', 'lpips', 'diffusers', 'transformers', 'huggingface_hub',
          'mediapipe', 'pandas', 'sklearn', 'scipy', 'skimage')


@pytest.fixture
def no_mediapipe(monkeypatch):
    """A release of mediapipe without models, or none."""
    monkeypatch.setattr(choosing, 'package_file', lambda *parts: None)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folders that are searched for YuNet's model; empty."""
    monkeypatch.setenv('FDSR_WEIGHTS', str(tmp_path))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    choosing._report.cache_clear()
    return tmp_path


@pytest.fixture
def yunet(weights, monkeypatch):
    """The published file, or what has its name and hash."""
    path = weights / NAME
    path.write_bytes(b'network')
    monkeypatch.setitem(SOURCES, 'yunet', replace(
        SOURCES['yunet'], sha256=sha256_of(path)))
    return path


def test_mediapipe_comes_first(yunet, monkeypatch):
    monkeypatch.setattr(choosing, 'package_file', lambda *parts: 'a file')
    assert default_detector() == dict(type='fdsr.MediaPipeLandmarks')
    assert default_photo_detector() == dict(type='fdsr.MediaPipePhotoLandmarks')


def test_yunet_is_taken_without_mediapipe_and_reported_once(
        no_mediapipe, yunet, monkeypatch):
    said = []
    monkeypatch.setattr('mmengine.logging.print_log',
                        lambda text, **_: said.append(text))
    assert default_detector() == dict(type='fdsr.YuNetLandmarks')
    assert default_photo_detector() == dict(type='fdsr.YuNetPhotoLandmarks')
    assert len(said) == 1 and 'YuNet' in said[0] and str(yunet) in said[0]
    # the rows of an extraction are recorded with the detector that was chosen
    assert ExtractionSettings().detector == dict(type='fdsr.YuNetLandmarks')


def test_without_any_detector_the_error_explains_both(no_mediapipe, weights):
    with pytest.raises(ImportError) as error:
        default_photo_detector()
    for part in ('pip install "fdsr[landmarks]"', 'numpy 1', NAME, '$FDSR_WEIGHTS',
                 SOURCES['yunet'].url, 'fdsr.YuNetLandmarks', '--detector PATH'):
        assert part in str(error.value)


def test_detectors_are_named_on_command_lines(yunet):
    assert named_detector('mediapipe') == dict(type='fdsr.MediaPipeLandmarks')
    assert named_detector('yunet', photo=True) == dict(type='fdsr.YuNetPhotoLandmarks')
    assert named_detector(str(yunet)) == dict(
        type='fdsr.YuNetLandmarks', model=str(yunet))
    assert detector_config('fdsr.Mine') == dict(type='fdsr.Mine')
    assert detector_config('yunet') == dict(type='fdsr.YuNetLandmarks')
    with pytest.raises(ValueError, match="--detector: expected .* found 'mine'"):
        named_detector('mine')


def test_a_named_model_that_is_absent_is_told_at_once(weights):
    with pytest.raises(FileNotFoundError, match=NAME):
        named_detector('yunet')
    with pytest.raises(FileNotFoundError, match='nowhere.onnx'):
        named_detector('nowhere.onnx')


def test_the_command_line_takes_a_detector(tmp_path, weights):
    from fdsr.cli.infer import _detectors, parse_arguments
    options = parse_arguments(['a.png', '--out', str(tmp_path), '--detector', 'x.onnx'])
    assert options.detector == 'x.onnx'
    with pytest.raises(FileNotFoundError, match='x.onnx'):
        _detectors(options.detector)
    assert _detectors(None) == {}
    assert _detectors('mediapipe') == dict(
        landmarks=dict(type='fdsr.MediaPipeLandmarks'),
        photo_landmarks=dict(type='fdsr.MediaPipePhotoLandmarks'))


def test_landmarks_need_no_training_packages():
    code = ('import sys, warnings\nwarnings.simplefilter("ignore")\n'
            f'sys.modules.update(dict.fromkeys({ABSENT!r}))\n'
            'import fdsr.landmarks, fdsr.apis\n'
            'print(fdsr.landmarks.YuNetLandmarks().halvings)')
    done = subprocess.run([warm.python(warm.TORCH), '-c', code], capture_output=True,
                          text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '4\n'
