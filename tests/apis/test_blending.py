"""Restored faces blend in: no jump at the mask's border, and the input's colour."""

import io

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.apis.blending import face_mask, match_colour, mix, paste
from fdsr.apis.photo import paste_faces
from fdsr.datasets import SyntheticFacesDataset
from fdsr.geometry.alignment import cut, five_point_crop, resize
from fdsr.geometry.components import FFHQ_EYE_SHARE
from fdsr.landmarks import FaceLandmarks, FoundFace, LandmarkDetector
from fdsr.registry import LANDMARKS

#: Side of a face in a photograph, and scale of the result.
SIDE, SCALE, SIZE = 36, 4, 256
#: Largest jump of the mean colour at the border of the mask, in levels.
MOST_JUMP = 1.0
PLACES = []


@LANDMARKS.register_module()
class SyntheticPlaces(LandmarkDetector):
    """Finds the faces that a test has placed."""

    def detect_faces(self, image):
        return [place.landmarks for place in PLACES]

    def find_faces(self, image):
        return list(PLACES)


def shifted(image, shift):
    """A colour cast."""
    return np.clip(image + np.asarray(shift), 0, 255).round().astype(np.uint8)


def jpeg(image, quality):
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, 'JPEG', quality=quality)
        return np.array(Image.open(file))


def synthetic_photo(number, degrade=lambda image: image):
    """A synthetic face on a background, small, with its crop and its HR face."""
    item = SyntheticFacesDataset(1, SIZE, eye_share=FFHQ_EYE_SHARE,
                                 first=50_000 + number).load(0)
    rng = np.random.default_rng(number)
    background = Image.fromarray(rng.integers(60, 200, (4, 5, 3), 'u1')).resize(
        (100 * SIZE // SIDE, 80 * SIZE // SIDE), Image.BICUBIC)
    left, top = (int(rng.integers(20, 220)) for _ in range(2))
    background.paste(Image.fromarray(item['img']), (left, top))
    photo = np.array(background.resize((100, 80), Image.BICUBIC))
    points = (item['landmarks'] + 0.5 + (left, top)) * 100 / background.width - 0.5
    crop = five_point_crop(points, photo.shape[1::-1], FFHQ_EYE_SHARE)
    large = five_point_crop(item['landmarks'], (SIZE, SIZE), FFHQ_EYE_SHARE)
    return degrade(photo), points, crop, resize(cut(item['img'], large), SIZE)


def upsampled(photo):
    return np.array(Image.fromarray(photo).resize(
        (SCALE * photo.shape[1], SCALE * photo.shape[0]), Image.BICUBIC))


def square_paste(photo, face, crop, scale):
    """The paste of fdsr 0.1: a square with a feather of 12 %, and SR's own colour."""
    from unittest import mock

    def feathered_square(side):
        centres = (np.arange(side) + 0.5) / side
        ramp = np.clip(np.minimum(centres, 1 - centres) / 0.12, 0, 1)
        profile = (1 - np.cos(np.pi * ramp)) / 2
        return np.outer(profile, profile).astype(np.float32)

    with mock.patch('fdsr.apis.blending.face_mask', feathered_square):
        paste(photo, face, crop, scale)


def weight_in(photo, crop):
    """The mask of ``paste`` in the photograph, from 0 to 1."""
    canvas = np.zeros_like(photo)
    paste(canvas, np.full((SIZE, SIZE, 3), 255, np.uint8), crop, SCALE)
    return canvas[..., 0] / 255


def seam_error(result, before, crop):
    """Mean jump of the change of colour across the border of the pasted square.

    In each of 16 sectors, the mean change of a ring inside the border (80 to 95 % of
    the way from the centre to the side) is compared with that of a ring outside of it
    (100 to 115 %). A seamless paste changes the mean colour of neither.
    """
    matrix = crop.matrix
    y, x = np.mgrid[:result.shape[0], :result.shape[1]]
    points = np.stack([x, y], -1).reshape(-1, 2)
    points = (points + 0.5) / SCALE - 0.5
    inside = (points @ matrix[:, :2].T + matrix[:, 2] + 0.5) / crop.side * 2 - 1
    radius = np.abs(inside).max(-1).reshape(x.shape)
    angle = np.arctan2(*inside.T).reshape(x.shape)
    sector = np.floor((angle + np.pi) / (2 * np.pi) * 16).astype(int) % 16
    change = result.astype(float) - before
    jumps = []
    for number in range(16):
        rings = [change[(sector == number) & (radius >= low) & (radius < high)]
                 for low, high in ((0.8, 0.95), (1.0, 1.15))]
        if min(map(len, rings)) > 20:
            jumps.append(np.abs(rings[0].mean(0) - rings[1].mean(0)).mean())
    assert len(jumps) > 8
    return float(np.mean(jumps))


@pytest.mark.parametrize('number', range(4))
def test_the_seam_of_a_face_with_another_colour(number):
    """SR is HR with a colour cast; the LR photograph is a JPEG with another."""
    photo, _, crop, hr = synthetic_photo(
        number, lambda image: jpeg(shifted(image, (10, -6, 4)), 75))
    sr, lr = shifted(hr, (-14, 8, 12)), resize(cut(photo, crop), 32)
    before = upsampled(photo)
    new, old = before.copy(), before.copy()
    paste(new, sr, crop, SCALE, lr)
    square_paste(old, sr, crop, SCALE)
    assert seam_error(new, before, crop) < MOST_JUMP
    assert seam_error(old, before, crop) > 4 * seam_error(new, before, crop)


@pytest.mark.parametrize('number', range(3))
def test_the_mean_colour_of_the_face_is_that_of_the_input(number):
    photo, _, crop, hr = synthetic_photo(
        number, lambda image: shifted(image, (12, 0, -9)))
    before = upsampled(photo)
    result = before.copy()
    paste(result, shifted(hr, (-9, 6, 9)), crop, SCALE, resize(cut(photo, crop), 32))
    face = weight_in(before, crop) > 0.5
    difference = result[face].mean(0) - before[face].mean(0)
    assert np.abs(difference).max() <= 1
    # and the detail is that of SR: the face differs from the input
    assert np.abs(result[face].astype(int) - before[face]).mean() > 2


def test_matching_the_colour_keeps_the_detail():
    rng = np.random.default_rng(0)
    detail = rng.normal(0, 20, (SIZE, SIZE, 1)) * np.ones(3)
    sr = shifted(np.full((SIZE, SIZE, 3), 120.), detail)
    lr = np.full((32, 32, 3), (130, 110, 150), np.uint8)
    matched = match_colour(sr, lr).astype(float)
    assert np.abs(matched.mean((0, 1)) - lr[0, 0]).max() < 0.6
    high = (matched - matched.mean((0, 1))) - (sr - sr.mean((0, 1)))
    assert np.abs(high).mean() < 1.5
    assert np.array_equal(match_colour(resize(lr, SIZE), lr), resize(lr, SIZE))


@pytest.mark.parametrize('side', [16, 101])
def test_the_mask(side):
    mask = face_mask(side)
    middle = side // 2
    assert mask.shape == (side, side) and mask.dtype == np.float32
    assert mask[middle, middle] == 1 and mask.min() == 0
    assert mask[0].max() < 0.1 and mask[0, 0] == 0
    assert np.allclose(mask, mask[::-1], atol=1e-6) and np.allclose(mask, mask.T)
    assert (np.diff(mask[middle, :middle]) >= 0).all()
    # neither a square, whose corners would be in it, nor a step
    assert mask[side // 10, side // 10] == 0
    assert np.abs(np.diff(face_mask(101)[50])).max() < 0.1


def test_mix():
    before, after = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    assert (mix(before, after, 0.25) == 50).all()
    assert mix(before, after, 1) is after and (mix(before, after, 0) == 0).all()


@pytest.fixture
def resolver():
    PLACES.clear()
    return FaceSuperResolver('compact', 'cpu',
                             photo_landmarks=dict(type='SyntheticPlaces'))


def test_the_bundled_network_in_a_degraded_photograph(resolver):
    """Seam, mean colour and strength of what ``restore_photo`` returns."""
    photo, points, crop, _ = synthetic_photo(
        7, lambda image: jpeg(shifted(image, (14, -8, -4)), 80))
    PLACES.append(FoundFace((0, 0, 9, 9), FaceLandmarks(points.astype(np.float32))))
    before = upsampled(photo)
    results = {strength: resolver.restore_photo(photo, SCALE, strength=strength)
               for strength in (0, 0.5, 1)}
    assert all(result.num_restored == 1 for result in results.values())
    assert np.array_equal(results[0].image, before)
    new = results[1].image
    face = weight_in(before, crop) > 0.5
    assert np.abs(new[face].mean(0) - before[face].mean(0)).max() <= 1
    assert np.abs(results[0.5].image - (new.astype(float) + before) / 2).max() <= 1
    old = before.copy()
    square_paste(old, results[1].faces[0].sr, crop, SCALE)
    assert seam_error(new, before, crop) < min(MOST_JUMP, seam_error(old, before, crop))
    assert np.array_equal(new[~(weight_in(before, crop) > 0)],
                          before[~(weight_in(before, crop) > 0)])


def test_strength_0_is_the_upsampled_photograph_for_overlapping_faces(resolver):
    photo, points, *_ = synthetic_photo(1)
    for shift in (0, 6):
        PLACES.append(FoundFace((0, 0, 9, 9), FaceLandmarks(
            (points + shift).astype(np.float32))))
    result = resolver.restore_photo(photo, SCALE, strength=0)
    assert result.num_restored == 2
    assert np.array_equal(result.image, upsampled(photo))
    assert not np.array_equal(paste_faces(photo, result.faces, SCALE), result.image)
