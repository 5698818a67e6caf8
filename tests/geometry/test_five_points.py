"""Order and rotation of five landmarks."""

from itertools import permutations

import numpy as np
import pytest

from fdsr.geometry.alignment import face_crop, five_point_crop, five_point_template
from fdsr.geometry.five_points import _FACE_3D, problem_of

FACE = five_point_template(200, 0.3)
BOX = np.array([50, 50, 100, 100])


def turned(points, degrees):
    turn = np.exp(1j * np.radians(degrees))
    moved = (points - points.mean(axis=0)) @ (1, 1j) * turn
    return np.stack([moved.real, moved.imag], axis=1) + points.mean(axis=0)


def posed(yaw, pitch=0):
    """Returns the projection of the mean face, with an eye distance of 60 px."""
    x, y, z = 60 * _FACE_3D.T
    yaw, pitch = np.radians([yaw, pitch])
    depth = y * np.sin(pitch) + z * np.cos(pitch)
    return np.stack([x * np.cos(yaw) + depth * np.sin(yaw),
                     y * np.cos(pitch) - z * np.sin(pitch)], axis=1) + 100


@pytest.mark.parametrize('yaw', range(-75, 76, 15))
@pytest.mark.parametrize('pitch', [-25, 0, 25])
@pytest.mark.parametrize('roll', [-40, 0, 40])
def test_faces_up_to_the_profile_are_accepted(yaw, pitch, roll):
    assert problem_of(turned(posed(yaw, pitch), roll)) == ''


@pytest.mark.parametrize('yaw', [-30, 0, 30])
def test_every_other_order_is_refused(yaw):
    points = posed(yaw) + np.random.RandomState(0).normal(0, 1, (5, 2))
    assert problem_of(points) == ''
    for order in list(permutations(range(5)))[1:]:
        assert problem_of(points[list(order)]), order


@pytest.mark.parametrize('order', [
    (1, 0, 2, 3, 4), (0, 1, 2, 4, 3), (1, 0, 2, 4, 3), (0, 1, 3, 4, 2),
    (2, 0, 1, 3, 4)])
@pytest.mark.parametrize('aligned', [True, False])
def test_no_crop_with_another_order(order, aligned):
    with pytest.raises(ValueError, match='in this order'):
        face_crop(BOX, FACE[list(order)], (200, 200), aligned, 1.3, 0.3)


@pytest.mark.parametrize('degrees', [90, 180, -90])
def test_alignment_turns_a_face_and_a_box_refuses_it(degrees):
    points = turned(FACE, degrees)
    assert f'rotated by {abs(degrees)} degrees' in problem_of(points)
    crop = five_point_crop(points, (200, 200), 0.3)
    there = points @ crop.matrix[:, :2].T + crop.matrix[:, 2]
    assert np.abs(there - five_point_template(crop.side, 0.3)).max() < 1
    with pytest.raises(ValueError, match='rotated by'):
        face_crop(BOX, points, (200, 200), False, 1.3, 0.3)


def test_one_point():
    assert 'one point' in problem_of(np.ones((5, 2)))


def test_a_smile_seen_from_the_side_is_accepted_in_any_mode():
    """Another order of these landmarks fits a rotated face twice as well."""
    points = np.array([[77.07, 80.72], [123.35, 88.98], [89.73, 117.5], [67.17, 122.],
                       [120.7, 130.86]])
    assert problem_of(points) == problem_of(points, 180) == ''
