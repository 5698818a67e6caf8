"""FaceSuperResolver: what it returns is what the network computes."""

import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.apis.images import BadImage
from fdsr.landmarks import FaceLandmarks
from fdsr.models.files.checkpoints import CheckpointMismatch, save_backbone
from fdsr.models.images import to_uint8
from fdsr.registry import LANDMARKS, MODELS
from tests import toy, warm

LR_SIZE = toy.SIZE // toy.SCALE


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    return toy.trained_student(tmp_path_factory.mktemp('student'))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, 'u1')


def expected_of(network, faces, *boxes):
    lr = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return to_uint8(network(lr, *boxes)).permute(0, 2, 3, 1).numpy()


def test_many_in_batches_are_what_each_is_alone(student):
    faces = noise(5, LR_SIZE, LR_SIZE, 3)
    sr = FaceSuperResolver(student, batch_size=2)
    many = sr(faces)
    expected = expected_of(load_backbone(student), faces)
    assert len(many) == 5 and many[0].shape == (toy.SIZE, toy.SIZE, 3)
    for one, face, wanted in zip(many, faces, expected):
        assert one.dtype == np.uint8
        assert np.abs(one.astype(int) - wanted).max() <= 1
        assert np.abs(sr(face).astype(int) - wanted).max() <= 1
    assert sr([]) == []


def test_channel_order_and_types_of_images(student, tmp_path):
    face = noise(LR_SIZE, LR_SIZE, 3)
    sr = FaceSuperResolver(str(student), device='cpu')
    wanted = sr(face)
    Image.fromarray(face).save(tmp_path / 'face.png')
    assert np.array_equal(sr(tmp_path / 'face.png'), wanted)
    assert np.array_equal(sr(Image.fromarray(face)), wanted)
    assert np.array_equal(sr(tmp_path)[0], wanted)
    bgr = sr(np.ascontiguousarray(face[..., ::-1]), channel_order='bgr')
    assert np.array_equal(bgr[..., ::-1], wanted)
    with pytest.raises(ValueError, match='channel_order'):
        sr(face, channel_order='RGB')


def test_larger_faces_are_brought_to_lr(student):
    face = noise(50, 50, 3)
    small = Image.fromarray(face).resize((LR_SIZE, LR_SIZE), Image.BICUBIC)
    sr = FaceSuperResolver(student)
    assert np.array_equal(sr(face), sr(np.asarray(small)))
    with pytest.raises(BadImage, match='square, found 60x50'):
        sr(noise(50, 60, 3))
    with pytest.raises(BadImage, match='^Face 2 of 2: .*square, found 60x50'):
        sr([face, noise(50, 60, 3)])


def test_a_file_that_is_not_square_is_named(student, tmp_path):
    sr = FaceSuperResolver(student)
    for name, shape in (('a.png', (50, 50, 3)), ('b.png', (50, 60, 3))):
        Image.fromarray(noise(*shape)).save(tmp_path / name)
    files = [tmp_path / 'a.png', tmp_path / 'b.png']
    for given in (files[1], tmp_path, files):
        with pytest.raises(BadImage, match='b.png: .*square, found 60x50'):
            sr(given)


def test_tensors_equal_arrays(student):
    sr, face = FaceSuperResolver(student), noise(LR_SIZE, LR_SIZE, 3)
    tensor = torch.from_numpy(face).permute(2, 0, 1) / 255
    assert np.array_equal(sr(tensor), sr(face))
    assert np.array_equal(sr(tensor[None])[0], sr(face))


def test_the_setting_comes_with_the_file(student, teacher, tmp_path):
    for weights in (student, teacher):
        setting = FaceSuperResolver(weights).geometry
        assert (setting.size, setting.scale, setting.lr_size) == (
            toy.SIZE, toy.SCALE, LR_SIZE)
        assert 0.2 < setting.eye_share < 0.35
    config = dict(type='fdsr.RCAN', scale=8, channels=16, groups=1, blocks=1)
    save_backbone(MODELS.build(config), config, tmp_path / 'rcan.pth')
    rcan = FaceSuperResolver(tmp_path / 'rcan.pth')
    assert (rcan.geometry.size, rcan.geometry.lr_size) == (256, 32)  # the paper's
    assert rcan(noise(32, 32, 3)).shape == (256, 256, 3)


def test_a_teacher_finds_its_landmarks(teacher):
    points = np.array([[10, 12], [22, 12], [16, 18], [11, 24], [21, 24]], np.float32)

    @LANDMARKS.register_module(force=True)
    class Placed:
        def detect(self, images):
            return [FaceLandmarks(points) if image.mean() > 100 else None
                    for image in images]

    sr = FaceSuperResolver(teacher, landmarks=dict(type='fdsr.Placed'))
    faces = np.stack([np.full((LR_SIZE, LR_SIZE, 3), 200, np.uint8),
                      np.zeros((LR_SIZE, LR_SIZE, 3), np.uint8)])
    boxes = torch.from_numpy(np.stack([
        FaceLandmarks(points).component_boxes(toy.SIZE), sr.network.template()]))
    wanted = expected_of(load_backbone(teacher), faces, boxes)
    for one, other in zip(sr(faces), wanted):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert (sr.network.num_seen, sr.network.num_not_found) == (2, 1)


def test_weights_that_cannot_be_used(tmp_path, student):
    with pytest.raises(FileNotFoundError):
        FaceSuperResolver(tmp_path / 'nowhere.pth')
    torch.save({'a': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointMismatch, match='not a self-describing file'):
        FaceSuperResolver(tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='batch_size'):
        FaceSuperResolver(student, batch_size=0)


def test_devices_that_cannot_be_used(student):
    for device in ('banana', 'cuda:99'):
        with pytest.raises(ValueError, match=f"'{device}' cannot be used here.*'auto'"):
            FaceSuperResolver(student, device)


def test_nothing_heavy_is_imported(student):
    code = (
        'import sys; from fdsr.apis import FaceSuperResolver;'
        f'FaceSuperResolver({str(student)!r});'
        "heavy = [m for m in sys.modules if m.startswith(('mmagic.models', 'mediapipe',"
        " 'diffusers', 'mmcv.ops', 'mmcv._ext', 'torchvision', 'lpips', 'pandas',"
        " 'scipy', 'sklearn', 'matplotlib', 'albumentations'))]; print(heavy)")
    done = subprocess.run([warm.python(warm.TORCH), '-c', code], capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_weights_that_come_along(monkeypatch, tmp_path, student):
    """By their name, and only if they are the file that was meant."""
    from fdsr.weights import sha256_of, shipped
    monkeypatch.setattr(shipped, '_FOLDER', tmp_path)
    monkeypatch.setattr(shipped, 'SHIPPED', {})
    with pytest.raises(FileNotFoundError, match='bundled weights are none'):
        FaceSuperResolver()
    with pytest.raises(FileNotFoundError, match='no checkpoint at nowhere.pth'):
        FaceSuperResolver('nowhere.pth')
    shipped.SHIPPED[shipped.DEFAULT] = shipped.ShippedWeights(
        'small.pth', sha256_of(student), 'CC0-1.0')
    with pytest.raises(FileNotFoundError, match='Install fdsr again'):
        FaceSuperResolver()
    (tmp_path / 'small.pth').write_bytes(student.read_bytes())
    face = noise(LR_SIZE, LR_SIZE, 3)
    assert np.array_equal(FaceSuperResolver()(face), FaceSuperResolver(student)(face))
    (tmp_path / 'small.pth').write_bytes(student.read_bytes()[:-1] + b'x')
    with pytest.raises(ValueError, match='expected SHA-256 .* Install fdsr again'):
        FaceSuperResolver()
