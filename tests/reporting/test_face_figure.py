"""The qualitative figure, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from fdsr.reporting.face_figure import (
    FigureFace,
    draw_figure,
    save_figure,
    zoom_regions,
)

CELL, GAP, HEADER = 256, 6, 34


def image(side, seed):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), 'u1')


def test_pictures_lie_in_their_cells_enlarged_by_whole_pixels(tmp_path):
    faces = [FigureFace({'LR': image(16, 1), 'HR': image(128, 2)}),
             FigureFace({'LR': image(16, 3), 'HR': image(128, 4)})]
    png, pdf = save_figure(draw_figure(faces, ['LR', 'HR']), tmp_path / 'a/figure.png')
    assert (png.name, pdf.name) == ('figure.png', 'figure.pdf')
    drawn = np.asarray(Image.open(png).convert('RGB'))
    assert drawn.shape == (HEADER + 2 * CELL + GAP, 2 * CELL + GAP, 3)
    for number, face in enumerate(faces):
        for column, label in enumerate(('LR', 'HR')):
            picture = face.images[label]
            big = picture.repeat(CELL // len(picture), 0).repeat(
                CELL // len(picture), 1)
            top, left = HEADER + number * (CELL + GAP), column * (CELL + GAP)
            found = drawn[top:top + CELL, left:left + CELL]
            # without the outermost pixels, which may be interpolated
            assert np.array_equal(found[2:-2, 2:-2], big[2:-2, 2:-2])
    assert pdf.read_bytes().startswith(b'%PDF')
    assert [path.name for path in sorted((tmp_path / 'a').iterdir())] == [
        'figure.pdf', 'figure.png']


def test_zooms_and_captions_lie_below(tmp_path):
    hr = image(64, 5)
    face = FigureFace({'HR': hr}, {'HR': '21.46'}, [(16, 8, 48, 24)])
    png, _ = save_figure(draw_figure([face], ['HR']), tmp_path / 'figure')
    drawn = np.asarray(Image.open(png).convert('RGB'))
    assert drawn.shape == (HEADER + CELL + GAP + 128 + 30, CELL, 3)
    zoom = hr[8:24, 16:48].repeat(8, 0).repeat(8, 1)
    top = HEADER + CELL + GAP
    assert np.array_equal(drawn[top + 2:top + 126, 2:-2], zoom[2:-2, 2:-2])
    assert (drawn[top + 128:] < 128).any()  # the caption


def test_zoom_regions_are_eyes_and_mouth_inside_the_picture():
    boxes = [[10, 20, 30, 40], [50, 22, 70, 44], [30, 40, 50, 60], [-5, 70, 60, 140]]
    assert zoom_regions(np.array(boxes, np.float32), 128) == [
        (10, 20, 70, 44), (0, 70, 60, 128)]
    outside = np.full((4, 4), 300.0)
    for x1, y1, x2, y2 in zoom_regions(outside, 128):
        assert 0 <= x1 < x2 <= 128 and 0 <= y1 < y2 <= 128


def test_a_missing_picture_is_named():
    with pytest.raises(ValueError, match="face 0 has no image of 'HR', found LR"):
        draw_figure([FigureFace({'LR': image(8, 0)})], ['LR', 'HR'])
    with pytest.raises(ValueError, match='no faces'):
        draw_figure([], ['LR'])
