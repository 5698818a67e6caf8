"""Colours of files: ICC profiles, float pixels, and images that need no conversion."""
import numpy as np
import pytest
from PIL import Image, ImageCms

from fdsr.datasets.colour import _to_srgb, as_rgb, float_levels
from fdsr.datasets.reading import decode
from tests.hostile import adobe_rgb, display_p3, encoded, noise

#: Levels of sRGB's red and of grey in other spaces.
CASES = [(display_p3, (234, 51, 35), (255, 0, 0)),
         (adobe_rgb, (219, 0, 0), (255, 0, 0)),
         (adobe_rgb, (128, 128, 128), (128, 128, 128)),
         (display_p3, (128, 128, 128), (128, 128, 128))]


@pytest.mark.parametrize('kind, options', [
    ('PNG', {}), ('JPEG', dict(quality=100, subsampling=0)), ('TIFF', {}),
    ('WEBP', dict(lossless=True)), ('AVIF', dict(quality=100, subsampling='4:4:4'))])
@pytest.mark.parametrize('profile, stored, srgb', CASES)
def test_profiles_become_srgb(profile, stored, srgb, kind, options):
    image = Image.new('RGB', (16, 16), stored)
    data = encoded(image, kind, icc_profile=profile(), **options)
    found = np.asarray(decode(data), int)
    assert np.abs(found - srgb).max() <= 4
    assert np.abs(np.asarray(decode(encoded(image, kind, **options)), int)
                  - stored).max() <= 3


def test_transparency_and_palettes_keep_their_profile():
    image = Image.new('RGBA', (8, 8), (219, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    for given in (image, image.quantize(4)):
        found = np.asarray(decode(encoded(given, 'PNG', icc_profile=adobe_rgb())), int)
        assert (found[:, :4] == 255).all()
        assert np.abs(found[:, 4:] - (255, 0, 0)).max() <= 4


def test_a_profile_that_is_srgb_changes_no_level():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    image = noise()
    image.info['icc_profile'] = profile
    assert as_rgb(image) is image


@pytest.mark.parametrize('profile', [b'broken', adobe_rgb()[:200]])
def test_a_broken_profile_is_ignored(profile):
    data = encoded(noise(), 'PNG', icc_profile=profile)
    assert np.array_equal(decode(data), noise())
    assert _to_srgb(profile)[0] is None


def test_a_profile_of_another_mode_is_ignored():
    image = noise('CMYK')
    plain = np.asarray(as_rgb(image))
    image.info['icc_profile'] = adobe_rgb()
    assert np.array_equal(as_rgb(image), plain)


def test_floats_are_scaled_by_their_range():
    levels = np.arange(256)
    assert np.array_equal(float_levels(levels / 255.), levels)
    assert np.array_equal(float_levels(levels.astype(np.float32)), levels)
    assert float_levels(np.array([-.05, 1.05])).tolist() == [0, 255]
    for bad in ([0, 300.], [-3, 10.], [0, np.nan], [np.inf, 0]):
        with pytest.raises(ValueError, match='unknown range'):
            float_levels(np.array(bad))


def test_long_integers_are_scaled_by_their_range():
    def read(values):
        data = encoded(Image.fromarray(np.array([values], np.int32)), 'TIFF')
        return np.asarray(decode(data))[0, :, 0].tolist()

    assert read([0, 7, 255]) == [0, 7, 255]
    assert read([0, 257, 65535]) == [0, 1, 255]
    with pytest.raises(ValueError, match='unknown range'):
        read([0, 70000])
