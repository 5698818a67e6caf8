"""Boxes from landmarks, and the sides of atoms."""

import numpy as np
import pytest

from fdsr.dictionary.components import (
    COMPONENTS,
    atom_sides,
    boxes_from_five_points,
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
