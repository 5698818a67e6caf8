"""Comparison grids."""

import os

import numpy as np
import pytest
from PIL import Image

from fdsr.reporting.grid import make_grid, save_grid

HEADER, GAP = 20, 2


def image(side, seed):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), 'u1')


def test_cells_hold_the_images_and_the_lr_is_enlarged_by_whole_pixels():
    rows = [[image(8, 1), image(32, 2)], [image(8, 3), image(32, 4)]]
    grid = make_grid(rows, ['LR', 'HR'])
    assert grid.shape == (HEADER + 2 * 32 + GAP, 2 * 32 + GAP, 3)
    assert grid.dtype == np.uint8
    for number, row in enumerate(rows):
        top = HEADER + number * (32 + GAP)
        big = row[0].repeat(4, axis=0).repeat(4, axis=1)
        np.testing.assert_array_equal(grid[top:top + 32, :32], big)
        np.testing.assert_array_equal(grid[top:top + 32, 34:66], row[1])


def test_every_column_is_labelled_within_its_width():
    grid = make_grid([[image(64, 1)] * 3], ['LR', 'a very long name', 'HR'])
    header = (grid[:HEADER] < 128).any(axis=(0, 2))
    for column in range(3):
        left = column * (64 + GAP)
        assert header[left:left + 64].any()
        assert not header[left + 64:left + 64 + GAP].any()


def test_the_inputs_are_left_alone():
    row = [image(8, 1), image(16, 2)]
    before = [cell.copy() for cell in row]
    make_grid([row], ['a', 'b'])
    assert all(np.array_equal(a, b) for a, b in zip(row, before))


@pytest.mark.parametrize('rows,hint', [
    ([], 'no rows'),
    ([[image(8, 1)]], '1 images for 2 labels'),
    ([[image(8, 1), image(8, 1) / 255]], "row 0, 'b'.*float64"),
    ([[image(8, 1), image(8, 1)[..., 0]]], r"row 0, 'b'.*\(8, 8\)"),
])
def test_bad_input_is_named(rows, hint):
    with pytest.raises(ValueError, match=hint):
        make_grid(rows, ['a', 'b'])


def test_a_saved_grid_is_read_back_equal(tmp_path):
    grid = make_grid([[image(16, 1)]], ['HR'])
    path = save_grid(tmp_path / 'new' / 'grid.png', grid)
    np.testing.assert_array_equal(np.array(Image.open(path)), grid)
    assert os.listdir(path.parent) == ['grid.png']
