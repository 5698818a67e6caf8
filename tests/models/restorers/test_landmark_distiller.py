"""Distillation of landmark heatmaps, and its teachers."""

import hashlib

import numpy as np
import pytest
import torch

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.interchange.publishing import publish
from fdsr.landmarks import FaceLandmarks, FaceLandmarks68, LandmarkDetector
from fdsr.models.backbones import HeatmapNet
from fdsr.models.files.checkpoints import CheckpointMismatch, save_backbone
from fdsr.models.heatmaps import points_from_heatmaps
from fdsr.models.restorers import DetectorHeatmaps, FANHeatmaps
from fdsr.models.restorers.heatmap_teachers import points_of
from fdsr.registry import LANDMARKS
from tests import toy

GRID = np.stack(np.meshgrid(np.linspace(5, 25, 17), np.linspace(5, 25, 4)),
                -1).reshape(68, 2).astype(np.float32)


class Grid(LandmarkDetector):
    """Finds the same 68 points in every image that is not black."""

    calls = 0

    def detect_faces(self, image):
        self.calls += 1
        return [FaceLandmarks68.of(GRID)] if image.any() else []


class Five(LandmarkDetector):
    """Finds five points."""

    def detect_faces(self, image):
        return [FaceLandmarks(GRID[:5])]


@pytest.fixture(autouse=True)
def detectors():
    for detector in (Grid, Five):
        LANDMARKS.register_module(name=detector.__name__, module=detector, force=True)


def config_of(folder, teacher=None, student=None, **changes):
    settings = dict(
        model=dict(
            type='fdsr.LandmarkDistiller',
            student=dict(type='fdsr.HeatmapNet', size=32, channels=8, depth=2,
                         **(student or {})),
            teacher=dict(network=teacher or dict(
                type='fdsr.DetectorHeatmaps', detector=dict(type='fdsr.Grid')))),
        optim_wrapper=dict(constructor='fdsr.GroupOptimWrapperConstructor',
                           student=toy.adam(1e-2)),
        **toy.loaders(), **toy.runtime(folder))
    pipeline = [dict(type='fdsr.DownsampleToLR', scale=1),
                dict(type='mmagic.PackInputs', meta_keys=['name'])]
    for name in ('train', 'test'):
        settings[f'{name}_dataloader']['dataset']['pipeline'] = pipeline
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        settings.pop(name)
    return toy.merged(settings, changes)


def test_the_student_learns_from_the_teachers_heatmaps(tmp_path):
    runner = toy.train(config_of(tmp_path, train_cfg__max_iters=30))
    losses = runner.message_hub.log_scalars['train/loss_heatmap'].data[0]
    assert losses[-1] < 0.5 * losses[0]
    assert set(runner.message_hub.log_scalars) >= {'train/loss', 'train/loss_heatmap'}
    assert 'train/loss_pixel' not in runner.message_hub.log_scalars
    student = load_backbone(tmp_path / 'iter_30.pth')
    assert type(student) is HeatmapNet and student.size == 32
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(student(image), runner.model.student.eval()(image))
    # twelve images without flips: each was detected once
    assert runner.model.teacher.num_seen <= 12 + 1


def test_another_number_of_points_is_refused(tmp_path):
    with pytest.raises(ValueError, match='student has 5 channels .* the teacher 68'):
        toy.train(config_of(tmp_path, student=dict(num_points=5)))


def test_a_detector_of_five_points_is_refused():
    teacher = DetectorHeatmaps(dict(type='fdsr.Five'))
    with pytest.raises(ValueError, match='Five returns five landmarks, expected 68'):
        teacher(torch.rand(1, 3, 32, 32))


def test_detected_points_are_rendered_once():
    teacher, image = DetectorHeatmaps(dict(type='fdsr.Grid')), torch.rand(2, 3, 32, 32)
    heatmaps = teacher(image)
    assert heatmaps.shape == (2, 68, 8, 8)
    assert torch.equal(teacher(image), heatmaps) and teacher.detector.calls == 2
    assert np.abs(points_of(teacher, image)[1].numpy() - GRID).max() == 0
    found = points_from_heatmaps(heatmaps, 32)[0].numpy()
    assert np.abs(found - GRID).max() < 0.01


def test_a_face_that_is_not_found_is_empty():
    teacher = DetectorHeatmaps(dict(type='fdsr.Grid'))
    heatmaps = teacher(torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)]))
    assert not heatmaps[0].any() and heatmaps[1].any()
    assert (teacher.num_seen, teacher.num_not_found) == (2, 1)


class BrightAsFAN(torch.nn.Module):
    """In FAN's place: every heatmap is the brightness."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = torch.nn.functional.avg_pool2d(image, 4).mean(dim=1, keepdim=True)
        return bright.repeat(1, 68, 1, 1)


@pytest.fixture
def fan(tmp_path):
    """A TorchScript file in place of FAN's, and its hash."""
    path = tmp_path / 'fan.zip'
    torch.jit.script(BrightAsFAN()).save(str(path))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize('eye_share', [0.3125, 0.22, 0.1])
def test_heatmaps_of_fan_are_where_the_image_is(fan, eye_share):
    teacher = FANHeatmaps(*fan, eye_share=eye_share)
    image = torch.zeros(2, 3, 128, 128)
    image[0, :, 24:32, 80:88] = 1
    image[1, :, 96:104, 16:24] = 1
    heatmaps = teacher(image)
    assert heatmaps.shape == (2, 68, 32, 32)
    points = points_from_heatmaps(heatmaps, 128)[:, 0]
    expected = torch.tensor([[83.5, 27.5], [19.5, 99.5]])
    assert (points - expected).abs().max() < 2


def test_fan_is_found_by_its_path_and_hash(fan, tmp_path):
    path, _ = fan
    with pytest.raises(ValueError, match='expected SHA-256'):
        FANHeatmaps(path)
    with pytest.raises(FileNotFoundError, match='2DFAN4-cd938726ad.zip'):
        FANHeatmaps(tmp_path / 'nowhere.zip')
    with pytest.raises(ValueError, match=r'eye_share: .* in \(0, 1\), found 2'):
        FANHeatmaps(*fan, eye_share=2)


def test_checkpoints_refer_to_fan_instead_of_copying_it(fan, tmp_path):
    path, sha256 = fan
    teacher = dict(type='fdsr.FANHeatmaps', weights=str(path), sha256=sha256)
    runner = toy.train(config_of(tmp_path / 'run', teacher, train_cfg__max_iters=3))
    assert runner.model.teacher.external_weights.sha256 == sha256
    content = torch.load(tmp_path / 'run/iter_3.pth', weights_only=True)
    assert content['meta']['fdsr']['external']['teacher']['sha256'] == sha256
    assert all(key.startswith('student.') for key in content['state_dict'])
    assert type(load_backbone(tmp_path / 'run/iter_3.pth')) is HeatmapNet


def test_a_model_file_cannot_make_fan_run(fan, tmp_path):
    """Its author could name a TorchScript file and its hash."""
    path, sha256 = fan
    good = dict(type='fdsr.HeatmapNet', size=32, channels=4, depth=1)
    save_backbone(HeatmapNet(32, channels=4, depth=1), good, tmp_path / 'net.pth')
    content = torch.load(tmp_path / 'net.pth', weights_only=True)
    content['meta']['fdsr']['backbones']['generator'] = dict(
        type='fdsr.FANHeatmaps', weights=str(path), sha256=sha256)
    torch.save(content, tmp_path / 'net.pth')
    with pytest.raises(CheckpointMismatch, match='cannot be built from a model file'):
        load_backbone(tmp_path / 'net.pth')


def test_a_landmark_network_is_not_used_for_restoring(tmp_path):
    config = dict(type='fdsr.HeatmapNet', size=32, channels=4, depth=1)
    save_backbone(HeatmapNet(32, channels=4, depth=1), config, tmp_path / 'net.pth')
    message = 'net.pth has a HeatmapNet, which finds landmarks; expected a network for'
    with pytest.raises(ValueError, match=message):
        FaceSuperResolver(tmp_path / 'net.pth', 'cpu')
    with pytest.raises(ValueError, match=message):
        publish(tmp_path / 'net.pth', tmp_path / 'out', 'net', licence='MIT')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('options', [
    dict(size=30), dict(num_points=0), dict(channels=0), dict(depth=0)])
def test_impossible_networks_are_refused(options):
    with pytest.raises(ValueError, match='positive numbers and a size that 4 divides'):
        HeatmapNet(**options)
