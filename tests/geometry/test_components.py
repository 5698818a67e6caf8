"""Boxes from landmarks, and the sides of atoms."""

import numpy as np
import pytest

from fdsr.geometry.components import (
    COMPONENTS,
    atom_sides,
    boxes_from_68_points,
    boxes_from_five_points,
    five_points_from_68,
    flip_boxes,
)

FACE = np.array([[97, 110], [159, 110], [128, 145], [102, 180], [154, 182]], 'float32')


def test_boxes_follow_the_paper_formula():
    boxes = boxes_from_five_points(FACE, side=256)
    iod = 62.0
    expected = [
        (97, 110 - 0.18 * iod, 0.32 * iod),
        (159, 110 - 0.18 * iod, 0.32 * iod),
        (128, 145, 0.20 * iod),
        (128, 181, 0.45 * iod),
    ]
    for box, (x, y, half) in zip(boxes, expected):
        np.testing.assert_allclose(
            box, (x - half, y - half, x + half, y + half), atol=1e-4)


def test_small_faces_keep_the_smallest_box():
    boxes = boxes_from_five_points(FACE * 0.01, side=256)
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides, 16, atol=1e-4)


def test_boxes_work_on_batches():
    batch = np.stack([FACE, FACE + 5])
    boxes = boxes_from_five_points(batch, side=256)
    assert boxes.shape == (2, 4, 4)
    np.testing.assert_allclose(boxes[1], boxes[0] + 5, atol=1e-4)


def test_wrong_number_of_landmarks_is_refused():
    with pytest.raises(ValueError, match=r'five landmarks.*\(68, 2\)'):
        boxes_from_five_points(np.zeros((68, 2)), side=256)


@pytest.mark.parametrize('side, reference, eye_share, component, expected', [
    (256, 256, 0.243, 'left_eye', [40, 20, 10, 5]),
    (256, 256, 0.243, 'mouth', [55, 27, 13, 6]),
    (512, 512, 0.243, 'nose', [25, 12, 6, 3]),
    (256, 512, 0.243, 'nose', [12, 6, 3, 2]),  # never below 2
    (128, 256, 0.3125, 'right_eye', [25, 12, 6, 3]),
    (128, 256, 0.3125, 'nose', [16, 7, 3, 2]),
])
def test_atom_sides(side, reference, eye_share, component, expected):
    assert atom_sides(side, reference, eye_share)[component] == expected


def test_flipped_boxes_are_the_boxes_of_the_flipped_face():
    side = 256
    mirrored = FACE.copy()
    mirrored[:, 0] = side - mirrored[:, 0]
    mirrored = mirrored[[1, 0, 2, 4, 3]]
    np.testing.assert_allclose(
        flip_boxes(boxes_from_five_points(FACE, side), side),
        boxes_from_five_points(mirrored, side), atol=1e-4)
    assert COMPONENTS[:2] == ('left_eye', 'right_eye')


def points_68(seed=0, side=512):
    """68 points strewn about a face, in pixels of a picture of that side."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, (68, 2)) * side


def box_point_by_point(points, numbers):
    """DFDNet's box at 512, in plain Python."""
    xs = [float(points[number][0]) for number in numbers]
    ys = [float(points[number][1]) for number in numbers]
    half = max(max(max(xs) - min(xs), max(ys) - min(ys)) / 2, 16)
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return [int(x - half + 1), int(y - half + 1), int(x + half), int(y + half)]


DFDNET_PARTS = [
    [17, 18, 19, 20, 21, 36, 37, 38, 39, 40, 41],
    [22, 23, 24, 25, 26, 42, 43, 44, 45, 46, 47],
    [29, 30, 31, 32, 33, 34, 35],
    [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67],
]


@pytest.mark.parametrize('factor', [1.0, 0.02])  # small ones have the smallest box
def test_boxes_from_68_points_are_dfdnets(factor):
    for seed in range(5):
        points = points_68(seed) * factor
        expected = [box_point_by_point(points, part) for part in DFDNET_PARTS]
        boxes = boxes_from_68_points(points, side=512)
        assert boxes.dtype == np.float32
        assert boxes.tolist() == expected
    assert factor == 1 or min(expected[0]) < 0  # truncated towards zero, as by int()


@pytest.mark.parametrize('side', [128, 256, 1024])
def test_boxes_from_68_points_grow_with_the_picture(side):
    points = points_68()
    expected = boxes_from_68_points(points, 512) * (side / 512)
    assert np.array_equal(boxes_from_68_points(points * (side / 512), side), expected)


def test_68_points_come_in_batches_or_are_refused():
    batch = np.stack([points_68(0), points_68(1)])
    assert np.array_equal(boxes_from_68_points(batch, 512)[1],
                          boxes_from_68_points(batch[1], 512))
    assert five_points_from_68(batch).shape == (2, 5, 2)
    for wrong in (boxes_from_68_points, lambda points, _: five_points_from_68(points)):
        with pytest.raises(ValueError, match=r'68 landmarks .* found \(5, 2\)'):
            wrong(FACE, 512)


def test_five_points_are_eye_centres_nose_and_mouth_corners():
    points = points_68(3)
    expected = [sum(points[36:42]) / 6, sum(points[42:48]) / 6,
                points[30], points[48], points[54]]
    np.testing.assert_allclose(five_points_from_68(points), expected, rtol=1e-6)
