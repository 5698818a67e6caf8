"""Faces drawn evenly by pose."""

import numpy as np
import pytest

from fdsr.datasets import VGGFace2Dataset
from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.preparation.dictionary.balance import (
    POSE_EDGES,
    even_shares,
    landmarks_of,
    sample_by_pose,
    yaw_of,
)
from fdsr.preparation.dictionary.faces import FaceBatches

FRONTAL = np.array([[10, 10], [20, 10], [15, 16], [11, 21], [19, 21]], float)


def turned(yaw: float) -> np.ndarray:
    points = FRONTAL.copy()
    points[2, 0] += 10 * yaw
    return points


def test_yaw_is_the_nose_s_place_between_the_eyes():
    assert yaw_of(FRONTAL) == 0
    assert yaw_of(turned(-0.5)) == pytest.approx(-0.5)
    assert yaw_of(np.stack([turned(0.2), turned(0.3)])) == pytest.approx([0.2, 0.3])


def test_size_place_and_tilt_do_not_change_it():
    angle = 0.6
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert yaw_of(turned(0.3) @ turn.T * 7 - 40) == pytest.approx(0.3)


def test_a_mirrored_face_is_turned_to_the_other_side():
    mirrored = turned(0.3) * (-1, 1)
    assert yaw_of(mirrored[[1, 0, 2, 4, 3]]) == pytest.approx(-0.3)


def test_eyes_that_coincide_have_none():
    assert np.isnan(yaw_of(np.zeros((5, 2))))


@pytest.mark.parametrize('available, total, expected', [
    ([9, 9, 9, 9, 9], 20, [4, 4, 4, 4, 4]),
    ([1, 9, 90, 9, 0], 20, [1, 6, 7, 6, 0]),
    ([1, 3, 90, 9, 2], 20, [1, 3, 7, 7, 2]),
    ([2, 2, 2, 2, 2], 7, [1, 2, 2, 1, 1]),
    ([2, 2], 10, [2, 2]), ([0, 0, 0], 3, [0, 0, 0]), ([5, 5, 5], 1, [0, 1, 0])])
def test_shares_are_as_even_as_can_be(available, total, expected):
    shares = even_shares(available, total)
    assert shares.sum() == min(total, sum(available))
    assert (shares <= available).all()
    assert shares.tolist() == expected


def test_bins_give_the_same_number_and_the_seed_decides_which():
    yaws = [-0.4] * 10 + [-0.2] * 20 + [0] * 200 + [0.2] * 20 + [0.4] * 10 + [np.nan]
    points = np.stack([turned(yaw) for yaw in yaws])
    draw = sample_by_pose(points, 40, seed=3)
    assert draw.available == [10, 20, 200, 20, 10] and draw.drawn == [8] * 5
    assert len(set(draw.indices)) == 40 and (np.diff(draw.indices) > 0).all()
    counts = np.bincount(np.digitize(yaw_of(points[draw.indices]), POSE_EDGES))
    assert counts.tolist() == draw.drawn
    assert np.array_equal(draw.indices, sample_by_pose(points, 40, seed=3).indices)
    assert not np.array_equal(draw.indices, sample_by_pose(points, 40, seed=4).indices)
    assert sample_by_pose(points, 1000, seed=0).drawn == draw.available


@pytest.mark.parametrize('root, turned_share', [
    ('faces', 0.05), ('faces_public', 0.3)])
def test_real_faces_fill_the_bins(shared_faces, tmp_path, root, turned_share):
    root = shared_faces.parent / root
    if not root.is_dir():
        pytest.skip(f'{root} is not on this machine')
    points = landmarks_of(VGGFace2Dataset(root, cache_dir=tmp_path,
                                          report_dir=tmp_path))
    draw = sample_by_pose(points, 100, seed=0)
    available, drawn = np.array(draw.available), np.array(draw.drawn)
    assert available.sum() == len(points) and drawn.sum() == 100
    assert 1 - available[2] / len(points) == pytest.approx(turned_share, abs=0.03)
    full = drawn < available  # who has more gives as many as the others
    assert np.ptp(drawn[full]) <= 1 and (drawn[~full] <= drawn[full].min()).all()
    assert drawn[2] < 35 < 100 * available[2] / len(points)
    mirrored = (points * (-1, 1))[:, [1, 0, 2, 4, 3]]
    assert sample_by_pose(mirrored, 100, seed=0).available == draw.available[::-1]


def test_a_set_without_a_list_of_landmarks_is_loaded_once():
    dataset = SyntheticFacesDataset(length=4, size=32)
    points = landmarks_of(dataset)
    assert np.array_equal(points[2], dataset[2]['landmarks'])
    assert np.isnan(landmarks_of([None, dataset[0]])[0]).all()


def test_batches_are_drawn_by_pose():
    items = [dict(img=np.full((32, 32, 3), number, np.uint8), landmarks=turned(yaw))
             for number, yaw in enumerate([0] * 30 + [0.4] * 5)]
    faces = FaceBatches(items, 32, max_faces=8, balance='pose')
    assert faces.pose.drawn == [0, 0, 4, 0, 4]
    assert (faces.indices >= 30).sum() == 4
    assert sum(len(images) for images, _ in faces) == 8
    assert FaceBatches(items, 32, max_faces=8).pose is None
    with pytest.raises(ValueError, match="'yaw', expected 'pose'"):
        FaceBatches(items, 32, balance='yaw')
