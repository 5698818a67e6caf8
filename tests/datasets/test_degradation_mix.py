"""The mix of degradations for the students: choices, kernels, tints, jitter."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from fdsr.datasets.transforms import (
    BlindDegradation,
    BlurFace,
    CompressJPEG,
    DownsampleToLR,
    OneOf,
    ResizeFace,
    TintFace,
)
from fdsr.geometry.alignment import jittered

JPEG = dict(type='fdsr.CompressJPEG', quality=40)
GREY_NOISE = dict(type='fdsr.AddNoise', sigma=10)


def draws(seed=0):
    return np.random.RandomState(seed)


def image(side=64):
    noise = draws(3).randint(0, 256, (side // 4, side // 4, 3)).astype(np.uint8)
    return np.array(Image.fromarray(noise).resize((side, side), Image.BICUBIC))


def floats(side=64):
    return image(side).astype(np.float32)


@pytest.mark.parametrize('name, kernel', [
    ('bicubic', Image.BICUBIC), ('bilinear', Image.BILINEAR), ('box', Image.BOX),
    ('lanczos', Image.LANCZOS)])
def test_the_kernels_are_those_of_pil(name, kernel):
    found = ResizeFace(16, [name]).degrade(floats(), draws())
    expected = np.asarray(Image.fromarray(image()).resize((16, 16), kernel), np.float32)
    # in uint8, PIL rounds and clamps after each axis
    assert np.abs(found - expected).max() <= 3
    assert np.abs(found - expected).mean() < 0.4


def test_area_is_the_mean_of_each_square():
    found = ResizeFace(16, ['area']).degrade(floats(), draws())
    expected = floats().reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_every_kernel_is_sampled():
    step = ResizeFace(16, ['bicubic', 'area'])
    results = {step.degrade(floats(), draws(seed)).tobytes() for seed in range(12)}
    assert len(results) == 2


def test_one_of_applies_one_list_with_its_probability():
    step = OneOf([[], [dict(type='fdsr.ResizeFace', side=16)]], weights=[1, 3])
    sides = [len(step.apply(floats(), draws(seed))) for seed in range(400)]
    assert set(sides) == {64, 16}
    assert 0.68 < np.mean(np.array(sides) == 16) < 0.82


def test_one_of_applies_the_steps_of_a_list_in_order():
    step = OneOf([[dict(type='fdsr.ResizeFace', side=16), JPEG]])
    small = ResizeFace(16).degrade(floats(), draws())
    np.testing.assert_array_equal(
        step.degrade(floats(), draws()), CompressJPEG(40).degrade(small, draws()))


def test_a_shifted_jpeg_equals_a_crop_of_a_larger_one():
    step = CompressJPEG(40, shift=True)
    found = step.degrade(floats(), draws(5))
    random = draws(5)
    random.randint(40, 41)
    top, left = random.randint(0, 8, 2)
    assert (top, left) != (0, 0)
    padded = np.pad(image(), ((top, 0), (left, 0), (0, 0)), 'edge')
    file = io.BytesIO()
    Image.fromarray(padded).save(file, 'JPEG', quality=40)
    expected = np.asarray(Image.open(file), np.float32)[top:, left:]
    np.testing.assert_array_equal(found, expected)


def test_without_shift_the_blocks_start_in_the_corner():
    file = io.BytesIO()
    Image.fromarray(image()).save(file, 'JPEG', quality=40)
    np.testing.assert_array_equal(
        CompressJPEG(40).degrade(floats(), draws()),
        np.asarray(Image.open(file), np.float32))


def test_the_mix_of_a_face_can_be_repeated():
    steps = [dict(type='fdsr.OneOf', choices=[
        [], [dict(type='fdsr.ResizeFace', side=8, kernels=['box', 'area']), GREY_NOISE,
             JPEG]])]
    results = [BlindDegradation(steps, 8, seed=0)(dict(img=image(), name=name))['img']
               for name in ('a', 'b', 'c', 'a', 'b', 'c')]
    for one, again in zip(results[:3], results[3:]):
        np.testing.assert_array_equal(one, again)
    clean = DownsampleToLR(8)(dict(img=image()))['img']
    assert any((one != clean).any() for one in results)
    assert BlindDegradation(steps, 8, seed=0).protocol().count('OneOf') == 0


@pytest.mark.parametrize('build, message', [
    (lambda: ResizeFace(0), 'side is 0'),
    (lambda: ResizeFace(8, ['cubic']), 'bicubic, bilinear'),
    (lambda: OneOf([[], []], weights=[1]), 'each of 2'),
    (lambda: OneOf([[dict(type='fdsr.FlipFace')]]), 'not a DegradationStep'),
    (lambda: TintFace(gain=(0, 1)), '0 < low'),
    (lambda: TintFace(grey=2), 'grey is 2'),
])
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_tint_multiplies_the_channels():
    np.random.seed(0)
    flat = np.full((8, 8, 3), 100, np.uint8)
    found = TintFace((0.5, 0.9), prob=1, grey=0)(dict(img=flat))['img']
    assert found.dtype == np.uint8 and (found == found[0, 0]).all()
    assert (found[0, 0] >= 50).all() and (found[0, 0] <= 90).all()
    assert len(set(found[0, 0].tolist())) == 3


def test_grey_is_the_luma_in_every_channel():
    np.random.seed(0)
    found = TintFace(prob=0, grey=1)(dict(img=image()))['img']
    luma = np.asarray(Image.fromarray(image()).convert('L'))
    np.testing.assert_array_equal(found, luma[..., None].repeat(3, 2))


def test_a_tint_after_lr_is_refused():
    with pytest.raises(ValueError, match='before DownsampleToLR'):
        TintFace()(dict(img=image(), gt=image()))


def test_jitter_keeps_shape_and_size_of_the_landmarks():
    points = np.array([[30., 40], [70, 44], [50, 62], [36, 80], [66, 82]])
    np.random.seed(1)
    moved = [jittered(points, shift=0.03, angle=5.0) for _ in range(200)]
    eyes = np.linalg.norm(points[1] - points[0])
    for one in moved:
        np.testing.assert_allclose(  # a rotation and a shift
            np.linalg.norm(one[:, None] - one, axis=-1),
            np.linalg.norm(points[:, None] - points, axis=-1))
    shifts = np.array([one.mean(0) - points.mean(0) for one in moved]) / eyes
    assert 0.025 < np.abs(shifts).max() <= 0.03
    turns = [np.degrees(cv2.fastAtan2(0, 1) + np.arctan2(*(one[1] - one[0])[::-1])
                        - np.arctan2(*(points[1] - points[0])[::-1])) for one in moved]
    assert 4 < np.abs(turns).max() <= 5 + 1e-9


def test_blur_in_the_mix_keeps_the_size():
    step = OneOf([[dict(type='fdsr.BlurFace', kinds=dict(iso=1.0), size=5,
                        sigma=1.0)]])
    assert isinstance(step.choices[0][0], BlurFace)
    assert step.degrade(floats(), draws()).shape == (64, 64, 3)
