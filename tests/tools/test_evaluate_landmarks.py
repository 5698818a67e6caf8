"""The command that measures a landmark network next to its teacher."""

import json

import numpy as np
import pytest
import torch

from fdsr.evaluation.landmark_error import eye_distances, normalized_errors
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import LANDMARKS, MODELS
from tests.conftest import REPOSITORY
from tests.in_process import call_tool
from tests.models.restorers.test_landmark_distiller import Grid, config_of

TOOL = REPOSITORY / 'tools/evaluate_landmarks.py'


def test_errors_are_shares_of_the_eye_distance():
    expected = np.zeros((2, 5, 2))
    expected[:, 1, 0] = 10  # the right eye
    found = expected + np.array([3.0, 4.0])  # each point is 5 px away
    assert eye_distances(expected).tolist() == [10, 10]
    found[1] = np.nan
    errors = normalized_errors(found, expected, eye_distances(expected))
    assert errors[0] == 0.5 and np.isnan(errors[1])
    with pytest.raises(ValueError, match='landmarks of one shape'):
        normalized_errors(found[:1], expected, np.ones(2))


@pytest.fixture
def config_path(tmp_path):
    LANDMARKS.register_module(name='Grid', module=Grid, force=True)
    config = config_of(tmp_path / 'run')
    config.pop('experiment_name'), config.pop('work_dir')
    config.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def saved_student(folder, size=32, bias=1.0):
    config = dict(type='fdsr.HeatmapNet', size=size, channels=8, depth=2)
    network = MODELS.build(config)
    torch.nn.init.constant_(network.head[-1].bias, bias)  # of all heatmaps
    save_backbone(network, config, folder / 'net.pth', 'student')
    return folder / 'net.pth'


def test_both_networks_are_measured(config_path, tmp_path):
    done = call_tool(TOOL, config_path, saved_student(tmp_path), '--repeats', 1,
                     '--out', tmp_path / 'out.json')
    assert done.returncode == 0, done.stderr
    assert '| student: HeatmapNet |' in done.stdout
    assert '| teacher: DetectorHeatmaps |' in done.stdout
    student, teacher = json.loads((tmp_path / 'out.json').read_text())
    network = MODELS.build(dict(type='fdsr.HeatmapNet', size=32, channels=8, depth=2))
    assert student['parameters'] == sum(
        value.numel() for value in network.parameters())
    assert student['gmacs'] > 0 and student['ms'] > 0 and student['nme_teacher'] > 0.05
    assert teacher['parameters'] is None and teacher['nme_teacher'] is None
    assert teacher['nme_dataset'] > 0 and teacher['num_faces'] == 3


def test_a_network_that_finds_nothing_has_no_error(config_path, tmp_path):
    done = call_tool(TOOL, config_path, saved_student(tmp_path, bias=-100.0),
                     '--repeats', 1, '--out', tmp_path / 'out.json')
    assert done.returncode == 0, done.stderr
    student, _ = json.loads((tmp_path / 'out.json').read_text())
    assert student['num_not_found'] == 3 and student['nme_dataset'] is None
    assert '| student: HeatmapNet | – | – | 3 of 3 |' in done.stdout


def test_a_network_of_another_size_is_refused(config_path, tmp_path):
    done = call_tool(TOOL, config_path, saved_student(tmp_path, size=64))
    assert done.returncode == 1
    assert 'was made for faces of 64 px, found test faces of 32 px' in done.stderr


def test_other_configs_are_refused(tmp_path):
    done = call_tool(TOOL, REPOSITORY / 'configs/demo/student.py', 'net.pth')
    assert done.returncode == 1 and 'fdsr.LandmarkDistiller' in done.stderr


def test_the_number_of_repeats_is_checked():
    done = call_tool(TOOL, 'config.py', 'net.pth', '--repeats', 0)
    assert done.returncode == 2 and 'argument --repeats: ' in done.stderr
