"""Cutting a face out, to the pixel."""
import numpy as np
import pytest

from fdsr.geometry import alignment
from fdsr.geometry.alignment import (
    FFHQ_TEMPLATE_512,
    FaceCrop,
    box_crop,
    cut,
    five_point_crop,
    five_point_template,
    move_points,
    padded_share,
    resize,
    similarity,
)


def picture_with_dots(points, size=(300, 240), sigma=2.5):
    """Black, with a smooth dot at each point; (0, 0) is the first pixel's centre."""
    y, x = np.mgrid[:size[1], :size[0]]
    img = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma ** 2))
              for px, py in points)
    return np.repeat((img * 255).clip(0, 255)[..., None], 3, 2).astype(np.uint8)


def centre_near(img, point, reach=8):
    """Centre of mass of what is bright around a point."""
    x0, y0 = (np.rint(point) - reach).astype(int)
    y, x = np.mgrid[y0:y0 + 2 * reach + 1, x0:x0 + 2 * reach + 1]
    weight = img[y, x, 0].astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def face(turn=0.2, eyes=60., middle=(150, 120)):
    """FFHQ's five points, turned, with noise that a similarity cannot fit."""
    points = (FFHQ_TEMPLATE_512 - 255.5) / 125.92 * eyes
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    noise = np.random.RandomState(0).uniform(-3, 3, (5, 2))
    return points @ rotation.T + middle + noise


@pytest.mark.parametrize('size', [64, 128, 256])
@pytest.mark.parametrize('kind', ['box', 'five_point'])
def test_landmarks_follow_the_picture(kind, size):
    points = face()
    img = picture_with_dots(points)
    if kind == 'box':
        crop = box_crop(np.array([97.3, 60.2, 101, 127]), (300, 240), 1.3)
    else:
        crop = five_point_crop(points, (300, 240), 0.3125)
    found = resize(cut(img, crop), size)
    moved = move_points(points, crop, size)
    reach = max(3, round(8 * size / crop.side))
    errors = [centre_near(found, point, reach) - point for point in moved]
    assert np.abs(errors).max() < 0.12  # a half pixel's slip would show


def test_aligned_points_lie_on_the_template():
    points = face(turn=0)
    for eye_share in (0.243, 0.3125):
        template = five_point_template(128, eye_share)
        assert np.linalg.norm(template[1] - template[0]) == pytest.approx(
            eye_share * 128)
        crop = five_point_crop(points, (300, 240), eye_share)
        moved = move_points(points, crop, 128)
        assert np.allclose(moved.mean(0), template.mean(0), atol=1e-3)
        assert np.abs(moved - template).max() < 6  # the noise, scaled
        # the best fit: no small change of the matrix comes nearer
        best = ((moved - template) ** 2).sum()
        for scale in (0.99, 1.01):
            other = (moved - moved.mean(0)) * scale + moved.mean(0)
            assert ((other - template) ** 2).sum() > best


def test_template_is_ffhqs_at_its_own_share():
    eyes = FFHQ_TEMPLATE_512[1] - FFHQ_TEMPLATE_512[0]
    assert np.allclose(five_point_template(512, np.linalg.norm(eyes) / 512),
                       FFHQ_TEMPLATE_512)


def umeyama(source, target):
    """As printed in the paper, by the singular value decomposition."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / a.var(0).sum()
    return np.column_stack([scale * rotation,
                            target.mean(0) - scale * rotation @ source.mean(0)])


@pytest.mark.parametrize('mirror', [1, -1])
def test_similarity_equals_umeyama(mirror):
    source = np.random.RandomState(1).normal(size=(5, 2)) * 30
    target = source @ [[0.3, -0.6], [0.6, 0.3]] * [mirror, 1] + [5, 9]
    target += np.random.RandomState(2).normal(size=(5, 2))
    found = similarity(source, target)
    assert np.allclose(found, umeyama(source, target))
    assert np.linalg.det(found[:, :2]) > 0


def test_box_crop_is_the_square_around_the_box():
    img = np.random.RandomState(0).randint(0, 256, (240, 300, 3)).astype(np.uint8)
    crop = box_crop(np.array([100, 50, 60, 100]), (300, 240), 1.3)
    assert crop.side == 130
    # centre (130, 100), so columns 65..194 and rows 35..164
    assert np.array_equal(cut(img, crop), img[35:165, 65:195])
    assert padded_share(crop, (300, 240)) == 0


@pytest.mark.parametrize('box', [(-30, -20, 100, 90), (250, 200, 120, 100),
                                 (-10, -10, 340, 260)])
def test_box_crop_continues_by_reflection(box):
    img = np.random.RandomState(0).randint(0, 256, (240, 300, 3)).astype(np.uint8)
    crop = box_crop(np.array(box), (300, 240), 1.3)
    left, top = (-crop.matrix[:, 2]).astype(int)
    pad = 400
    padded = np.pad(img, ((pad, pad), (pad, pad), (0, 0)), 'reflect')
    expected = padded[top + pad:, left + pad:][:crop.side, :crop.side]
    assert np.array_equal(cut(img, crop), expected)
    y, x = np.mgrid[top:top + crop.side, left:left + crop.side]
    outside = (x < 0) | (y < 0) | (x >= 300) | (y >= 240)
    assert padded_share(crop, (300, 240)) == pytest.approx(outside.mean(), abs=0.02)


def test_both_ways_of_cutting_agree():
    img = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    exact = FaceCrop(np.array([[1., 0, 7], [0, 1, -9]]), 64)
    # a hair off the identity goes through the warp, and rounds to the same pixels
    warped = FaceCrop(exact.matrix + [[1e-9, 0, 0], [0, 0, 0]], 64)
    assert np.array_equal(cut(img, exact), cut(img, warped))


def test_aligned_cut_keeps_the_native_scale():
    for eyes in (20., 60., 110.):
        crop = five_point_crop(face(eyes=eyes), (300, 240), 0.3125)
        assert np.hypot(*crop.matrix[:, 0]) == pytest.approx(1, abs=0.01)


def test_shrinking_is_anti_aliased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    # every fourth column would be all black or all white
    small = resize(stripes, 64)[8:-8, 8:-8]
    assert np.abs(small.astype(int) - 127).max() <= 2


@pytest.mark.parametrize('box', [(-50, 10, 40, 40), (300, 10, 40, 40),
                                 (10, 240, 40, 40), (10, -41, 40, 40)])
def test_a_box_that_misses_the_picture(box):
    with pytest.raises(ValueError, match='misses the image of 300x240'):
        box_crop(np.array(box), (300, 240), 1.3)


def test_boxes_and_landmarks_out_of_all_proportion():
    with pytest.raises(ValueError, match='expected 8 to 4 times'):
        box_crop(np.array([0, 0, 2000, 2000]), (300, 240), 1.3)
    with pytest.raises(ValueError, match='expected 8 to 4 times'):
        five_point_crop(face(eyes=1000), (300, 240), 0.3125)
    with pytest.raises(ValueError, match='expected 8 to 4 times'):
        five_point_crop(face(eyes=1) * 0.1, (300, 240), 0.3125)
    with pytest.raises(ValueError, match='one point'):
        five_point_crop(np.full((5, 2), 9.), (300, 240), 0.3125)
    with pytest.raises(ValueError, match='lie outside'):
        five_point_crop(face(middle=(900, 900)), (300, 240), 0.3125)


def test_the_memory_of_a_crop_is_limited():
    """Four times this image would take 55 GB."""
    with pytest.raises(ValueError, match='100000 px wide, at most 14,142'):
        alignment.box_crop(np.array([0., 0, 25000, 300]), (32000, 400), 4)


def test_a_one_pixel_picture_can_be_continued():
    img = np.full((1, 1, 3), 7, np.uint8)
    crop = FaceCrop(np.array([[1., 0, 1], [0, 1, 1]]), 3)
    assert (cut(img, crop) == 7).all()
    assert alignment.padded_share(crop, (1, 1)) == pytest.approx(8 / 9, abs=0.02)


def test_a_square_is_reflected_as_by_picking_each_pixel():
    draws = np.random.RandomState(0)
    for _ in range(300):
        height, width = draws.randint(1, 30, 2)
        side, left, top = int(draws.randint(1, 60)), *draws.randint(-70, 70, 2)
        picture = draws.randint(0, 256, (height, width, 3)).astype(np.uint8)
        square = alignment.cut(picture, alignment.FaceCrop(
            np.array([[1., 0, -left], [0, 1, -top]]), side))
        rows, columns = (
            [place if length == 1 else np.abs(
                (place + length - 1) % (2 * length - 2) - length + 1)
             for place in range(first, first + side)]
            for first, length in ((top, height), (left, width)))
        if height == 1:
            rows = [0] * side
        if width == 1:
            columns = [0] * side
        assert np.array_equal(square, picture[np.ix_(rows, columns)])
