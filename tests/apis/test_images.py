"""Whatever people hand in comes out as uint8 RGB, or is refused by name."""

import numpy as np
import pytest
from PIL import Image

from fdsr.apis.images import (
    BadImage,
    as_arrays,
    from_array,
    from_pil,
    is_single,
    read_image,
)
from tests.hostile import BROKEN

BROKEN_HERE = sorted(BROKEN.keys() - {'floats.png'})  # these are taken for 0 to 255
RED = np.array([200, 30, 10], np.uint8)


@pytest.fixture
def red():
    """(6, 8, 3) RGB whose left half is red and right half black."""
    image = np.zeros((6, 8, 3), np.uint8)
    image[:, :4] = RED
    return image


def test_modes_become_rgb(red):
    image = Image.fromarray(red)
    assert np.array_equal(from_pil(image), red)
    assert np.abs(from_pil(image.convert('CMYK')).astype(int) - red).max() <= 2
    grey = from_pil(image.convert('L'))
    assert grey.shape == (6, 8, 3) and (grey[..., 0] == grey[..., 2]).all()
    palette = image.convert('P', palette=Image.ADAPTIVE, colors=2)
    assert np.abs(from_pil(palette).astype(int) - red).max() <= 2
    clear = image.convert('RGBA')
    clear.putalpha(Image.fromarray(np.where(red[..., 0] > 0, 255, 0).astype(np.uint8)))
    found = from_pil(clear)
    assert (found[:, :4] == RED).all() and (found[:, 4:] == 255).all()
    deep = Image.fromarray((red[..., 0].astype(np.uint16) * 257))
    assert np.array_equal(from_pil(deep)[..., 1], red[..., 0])


def test_the_exif_orientation_is_applied(red, tmp_path):
    image = Image.fromarray(red)
    exif = image.getexif()
    exif[274] = 6  # the camera was held upright
    image.save(tmp_path / 'turned.png', exif=exif)
    assert np.array_equal(read_image(tmp_path / 'turned.png'), np.rot90(red, -1))


@pytest.mark.parametrize('file', BROKEN_HERE)
def test_what_cannot_be_read_is_named(file, tmp_path):
    (tmp_path / file).write_bytes(BROKEN[file][0])
    with pytest.raises(BadImage, match=f'{file} cannot be read as an image'):
        read_image(tmp_path / file)


def test_arrays_say_their_order(red):
    assert np.array_equal(from_array(red[..., ::-1], 'bgr'), red)
    assert np.array_equal(from_array(red), red)
    four = np.dstack([red, np.zeros((6, 8), np.uint8)])
    assert np.array_equal(from_array(four), red)
    assert from_array(red[..., 0]).shape == (6, 8, 3)
    for bad in (red.astype(float), red[None], red[:0], red[..., :2]):
        with pytest.raises(BadImage, match='uint8'):
            from_array(bad)
    with pytest.raises(ValueError, match="'rgb' or 'bgr'"):
        from_array(red, 'gbr')


def test_bad_files_are_named(red, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(
        0, 256, (64, 64, 3), 'u1')).save(tmp_path / 'whole.jpg')
    whole = (tmp_path / 'whole.jpg').read_bytes()
    for name, content in (('cut.jpg', whole[:len(whole) // 2]), ('empty.png', b''),
                          ('paper.jpg', b'%PDF-1.7 and so on')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadImage, match=name):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_image(tmp_path / 'nowhere.png')


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path, monkeypatch):
    Image.new('1', (300, 200)).save(tmp_path / 'large.png')
    monkeypatch.setattr('fdsr.apis.images.MOST_PIXELS', 50_000)
    with pytest.raises(BadImage, match='300x200 pixels'):
        read_image(tmp_path / 'large.png')


def test_an_image_beyond_pils_limits_is_not_broken(tmp_path, monkeypatch, recwarn):
    Image.new('1', (300, 200)).save(tmp_path / 'large.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 50_000)
    assert read_image(tmp_path / 'large.png').shape == (200, 300, 3)
    assert not recwarn.list
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 20_000)
    with pytest.raises(BadImage, match='large.png .* has too many pixels.*smaller'):
        read_image(tmp_path / 'large.png')


def test_every_supported_input_yields_images(red, tmp_path):
    for name in ('b.png', 'a.PNG'):
        Image.fromarray(red).save(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('not an image')
    image = Image.fromarray(red)
    for given, count in ((red, 1), (red[None].repeat(3, 0), 3), (image, 1),
                         (tmp_path / 'b.png', 1), (str(tmp_path), 2),
                         ([red, image, tmp_path], 4), ([], 0)):
        found = list(as_arrays(given))
        assert len(found) == count
        assert all(np.array_equal(one, red) for one in found)
        assert is_single(given) == (count == 1)
    with pytest.raises(TypeError, match='found int'):
        list(as_arrays(3))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no image in'):
        list(as_arrays(tmp_path / 'empty'))
