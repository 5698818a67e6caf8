"""Kernels, blur, size, noise and JPEG, each held against something else."""
import io
import math

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from fdsr.datasets.transforms import (
    AddNoise,
    BlurFace,
    CompressJPEG,
    DownsampleToLR,
    ShrinkFace,
)
from fdsr.datasets.transforms.degradation_steps import (
    gaussian_kernel,
    motion_kernel,
    random_state,
)
from fdsr.registry import TRANSFORMS


def draws(seed=0):
    return np.random.RandomState(seed)


def picture(side=64, seed=0):
    noise = draws(seed).randint(0, 256, (side // 4, side // 4, 3)).astype(np.uint8)
    smooth = Image.fromarray(noise).resize((side, side), Image.BICUBIC)
    return np.asarray(smooth, np.float32)


def moments(kernel):
    """Covariance of a kernel in px², x before y."""
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half:half + 1, -half:half + 1]
    assert abs((kernel * x).sum()) < 1e-12 and abs((kernel * y).sum()) < 1e-12
    xy = (kernel * x * y).sum()
    return np.array([[(kernel * x * x).sum(), xy], [xy, (kernel * y * y).sum()]])


@pytest.mark.parametrize('kernel', [
    gaussian_kernel(1, 3), gaussian_kernel(41, 10), gaussian_kernel(41, 0.1),
    gaussian_kernel(21, 2, 5, 1), motion_kernel(0, 1), motion_kernel(0.3, 1),
    motion_kernel(8, 0.4), motion_kernel(21, 3)], ids=lambda kernel: str(kernel.shape))
def test_kernels_sum_to_one_and_are_symmetric(kernel):
    assert kernel.sum() == pytest.approx(1, abs=1e-12) and kernel.min() >= 0
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-12)
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1


def test_an_isotropic_gaussian_is_the_product_of_two_lines():
    x = np.arange(-7, 8)
    line = np.exp(-x**2 / (2 * 2.5**2)) / (2.5 * math.sqrt(2 * math.pi))
    expected = np.outer(line, line) / line.sum()**2
    assert np.allclose(gaussian_kernel(15, 2.5), expected, atol=1e-15)


def test_gaussians_are_mmagics():
    kernels = pytest.importorskip('mmagic.datasets.transforms.blur_kernels')
    for angle in (0, 0.5, 2):
        expected = kernels.bivariate_gaussian(21, 3, 1.5, angle, is_isotropic=False)
        assert np.allclose(gaussian_kernel(21, 3, 1.5, angle), expected, atol=1e-6)


@pytest.mark.parametrize('angle', [0, math.pi / 6, math.pi / 2, 2.5])
def test_a_long_axis_points_where_the_angle_does(angle):
    """From the right towards the bottom; the variances are those asked for."""
    expected = np.array([math.cos(angle), math.sin(angle)])
    for kernel, along, across in [(gaussian_kernel(61, 6, 2, angle), 36, 4),
                                  (motion_kernel(24, angle), 24**2 / 12, 0)]:
        values, vectors = np.linalg.eigh(moments(kernel))
        assert abs(vectors[:, 1] @ expected) == pytest.approx(1, abs=1e-3)
        # a pixel's width adds to the line's variance
        assert values == pytest.approx([across, along], rel=0.03, abs=0.3)


def test_a_level_motion_is_a_box():
    expected = np.array([0.125, 0.25, 0.25, 0.25, 0.125])
    kernel = motion_kernel(4, 0)
    assert np.allclose(kernel[2], expected, atol=1e-3)
    assert np.allclose(kernel[[0, 1, 3, 4]], 0)


def test_blurring_is_a_convolution_with_reflected_borders():
    blur = BlurFace(dict(aniso=1.0), sigma=(1, 3), size=9, reference=None)
    kernel = blur.kernel(64, draws())
    img = picture()
    expected = np.stack([scipy.ndimage.convolve(img[..., c], kernel, mode='mirror')
                         for c in range(3)], 2)
    assert np.allclose(blur.degrade(img, draws()), expected, atol=1e-2)


def test_kinds_come_as_often_as_asked():
    blur = BlurFace(dict(iso=0.25, motion=0.75), sigma=2, size=5, length=20,
                    reference=None)
    generator = draws()
    motions = sum(len(blur.kernel(64, generator)) == 21 for _ in range(400))
    assert 270 < motions < 330


def test_sigmas_follow_the_picture_or_do_not():
    kernel = BlurFace(dict(iso=1.0), sigma=8, size=41).kernel(256, draws())
    assert np.allclose(kernel, gaussian_kernel(21, 4))
    kernel = BlurFace(dict(iso=1.0), sigma=8, size=41, reference=None).kernel(
        256, draws())
    assert np.allclose(kernel, gaussian_kernel(41, 8))


def test_a_random_size_of_kernels_is_odd_and_in_its_range():
    blur = BlurFace(dict(iso=1.0), size=(3, 9), reference=None)
    generator = draws()
    sizes = {len(blur.kernel(64, generator)) for _ in range(200)}
    assert sizes == {3, 5, 7, 9}


def test_shrinking_is_pils_bicubic():
    small = ShrinkFace(r=2.6).degrade(picture(), draws())
    expected = Image.fromarray(picture().astype(np.uint8)).resize(
        (24, 24), Image.BICUBIC)
    assert small.shape == (24, 24, 3)
    # of uint8, PIL rounds between the two directions as well
    difference = np.abs(small - np.asarray(expected, np.float32))
    assert difference.max() < 2 and difference.mean() < 0.5


def test_bilinear_shrinking_aliases_and_may_enlarge():
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::4] = 255
    aliased = ShrinkFace(r=4.0, resample='bilinear').degrade(stripes, draws())
    smooth = ShrinkFace(r=4.0).degrade(stripes, draws())
    inside = (slice(None), slice(2, -2))
    assert np.abs(smooth[inside] - 255 / 4).max() < 5
    assert np.abs(aliased[inside] - 255 / 4).max() > 60
    assert ShrinkFace(r=0.8, resample='bilinear').degrade(
        stripes, draws()).shape == (80, 80, 3)


def test_r_is_uniform_and_a_picture_keeps_a_pixel():
    step, generator = ShrinkFace(r=(1, 4)), draws()
    sides = [step.degrade(picture(32), generator).shape[0] for _ in range(300)]
    assert min(sides) == 8 and max(sides) == 31
    # half of the r's are above 2.5, whose side is 12
    assert 120 < sum(side <= 12 for side in sides) < 180
    assert ShrinkFace(r=500).degrade(picture(32), draws()).shape == (1, 1, 3)


def test_noise_has_its_sigma_in_each_channel_apart():
    grey = np.full((200, 200, 3), 128, np.float32)
    noise = AddNoise(sigma=7).degrade(grey, draws()) - grey
    assert noise.std((0, 1)) == pytest.approx([7, 7, 7], rel=0.03)
    assert np.abs(noise.mean((0, 1))).max() < 0.15
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
    white = AddNoise(sigma=50).degrade(np.full((9, 9, 3), 255, np.float32), draws())
    assert white.max() == 255 and white.min() < 255


@pytest.mark.parametrize('quality', [1, 40, 80, 100])
def test_jpeg_is_pils(quality):
    file = io.BytesIO()
    Image.fromarray(picture().astype(np.uint8)).save(file, 'JPEG', quality=quality)
    found = CompressJPEG(quality).degrade(picture() + 0.2, draws())
    assert found.dtype == np.float32
    assert np.array_equal(found, np.asarray(Image.open(file), np.float32))


def test_jpeg_keeps_the_order_of_colours():
    red = np.zeros((16, 16, 3), np.float32)
    red[..., 0] = 250
    found = CompressJPEG(90).degrade(red, draws()).mean((0, 1))
    assert found == pytest.approx([250, 0, 0], abs=4)


def test_both_ends_of_a_quality_are_drawn():
    step, generator = CompressJPEG((40, 42)), draws()
    found = {step.degrade(picture(), generator).tobytes() for _ in range(40)}
    assert found == {CompressJPEG(q).degrade(picture(), draws()).tobytes()
                     for q in (40, 41, 42)}


def test_a_probability_leaves_pictures_alone():
    step, generator = AddNoise(sigma=9, prob=0.3), draws()
    changed = sum(not np.array_equal(step.apply(picture(8), generator), picture(8))
                  for _ in range(400))
    assert 90 < changed < 150
    assert step.protocol().endswith('(in 0.3 of the images)')


def test_a_step_alone_degrades_lr_only():
    item = dict(img=picture().astype(np.uint8), name='a')
    with pytest.raises(ValueError, match='would degrade the HR image'):
        AddNoise()(dict(item))
    lr = DownsampleToLR(8)(item)
    clean = lr['img'].copy()
    with pytest.raises(ValueError, match='would change the size of LR'):
        ShrinkFace()(lr)
    np.random.seed(0)
    noisy = AddNoise(sigma=20)(lr)
    assert noisy['img'].dtype == np.uint8 and noisy['img'].shape == clean.shape
    assert not np.array_equal(noisy['img'], clean)
    assert np.array_equal(noisy['gt'], picture().astype(np.uint8))


def test_draws_depend_on_seed_and_name_or_on_numpys_state():
    def first(name, seed):
        return random_state(name, seed).random_sample()

    assert first('a', 0) == first('a', 0)
    assert len({first('a', 0), first('b', 0), first('a', 1)}) == 3
    np.random.seed(3)
    values = [first('a', None), first('a', None)]
    np.random.seed(3)
    assert [first('b', None), first('b', None)] == values and values[0] != values[1]


def test_rounded_probabilities_are_accepted():
    third = 0.333333
    blur = BlurFace(dict(iso=third, aniso=third, motion=third))
    assert blur.kernel(32, np.random.RandomState(0)).sum() == pytest.approx(1)


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: gaussian_kernel(4, 1), 'size is 4'),
    (lambda: gaussian_kernel(5, 0), 'numbers > 0'),
    (lambda: motion_kernel(-1, 0), 'length is -1'),
    (lambda: BlurFace(dict(box=1.0)), "kinds is {'box'"),
    (lambda: BlurFace(dict(iso=0.5)), 'sum to 1'),
    (lambda: BlurFace({}), 'sum to 1'),
    (lambda: BlurFace(dict(iso=1.0), sigma=(0, 1)), 'sigma is'),
    (lambda: BlurFace(dict(iso=1.0), size=(3, 8)), 'odd numbers'),
    (lambda: BlurFace(dict(iso=1.0), length=(9, 3)), 'length is'),
    (lambda: BlurFace(dict(iso=1.0), reference=0), 'reference is 0'),
    (lambda: BlurFace(dict(iso=1.0), prob=1.5), 'prob is 1.5'),
    (lambda: ShrinkFace(r=(0, 8)), 'r is'),
    (lambda: ShrinkFace(resample='lanczos'), 'bicubic or bilinear'),
    (lambda: AddNoise(sigma=-1), 'sigma is -1'),
    (lambda: CompressJPEG((0, 80)), 'quality is'),
    (lambda: CompressJPEG((40.5, 80)), 'expected integers'),
    (lambda: CompressJPEG((80, 40)), 'low <= high'),
])
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_steps_are_found_by_name():
    for name in ('BlurFace', 'ShrinkFace', 'AddNoise', 'CompressJPEG'):
        arguments = dict(kinds=dict(iso=1.0)) if name == 'BlurFace' else {}
        step = TRANSFORMS.build(dict(type=f'fdsr.{name}', **arguments))
        assert type(step).__name__ == name
