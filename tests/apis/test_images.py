"""Whatever people hand in comes out as uint8 RGB, or is refused by name."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis.images import (
    BadImage,
    as_arrays,
    from_array,
    from_pil,
    is_single,
    read_image,
    sort_folder,
    srgb_tag,
)
from fdsr.datasets.colour import as_rgb
from tests.hostile import BROKEN, encoded, noise

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


@pytest.mark.parametrize('file', BROKEN)
def test_what_cannot_be_read_is_named(file, tmp_path):
    (tmp_path / file).write_bytes(BROKEN[file][0])
    with pytest.raises(BadImage, match=f'{file} cannot be read as an image'):
        read_image(tmp_path / file)


def test_arrays_say_their_order(red):
    assert np.array_equal(from_array(red[..., ::-1], 'bgr'), red)
    assert np.array_equal(from_array(red), red)
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
    monkeypatch.setattr('fdsr.datasets.reading.MOST_PIXELS', 50_000)
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


def test_an_array_with_alpha_equals_the_file(red, tmp_path):
    image = np.dstack([red, np.arange(48, dtype=np.uint8).reshape(6, 8) * 5])
    Image.fromarray(image).save(tmp_path / 'clear.png')
    assert np.array_equal(from_array(image), read_image(tmp_path / 'clear.png'))
    bgr = np.ascontiguousarray(image[..., [2, 1, 0, 3]])
    assert np.array_equal(from_array(bgr, 'bgr'), from_array(image))


def test_tensors_are_converted(red):
    tensor = torch.from_numpy(red).permute(2, 0, 1)
    for given in (tensor, tensor.float() / 255, (tensor / 255).double()):
        found, = as_arrays(given)
        assert np.array_equal(found, red) and is_single(given)
    batch = torch.stack([tensor, tensor])
    assert not is_single(batch)
    assert all(np.array_equal(image, red) for image in as_arrays(batch))
    grey, = as_arrays(tensor[:1])
    assert np.array_equal(grey, red[..., :1].repeat(3, -1))
    found, = as_arrays(tensor.flip(0), 'bgr')
    assert np.array_equal(found, red)
    for bad, message in ((tensor.float(), 'from 0 to 200'), (tensor.int(), 'int32'),
                         (torch.from_numpy(red), r'\(6, 8, 3\)'),
                         (tensor / torch.nan, 'nan'), (tensor[0], r'\(6, 8\)')):
        with pytest.raises(BadImage, match=message):
            list(as_arrays(bad))


def test_arrays_that_are_refused_come_with_advice(red):
    with pytest.raises(BadImage, match=r'uint8 \(3, 6, 8\). .*transpose'):
        from_array(red.transpose(2, 0, 1))
    with pytest.raises(BadImage, match=r'float64 \(6, 8, 3\). .*\* 255'):
        from_array(red / 255)
    with pytest.raises(BadImage, match='uint16'):
        from_array(red.astype(np.uint16))


@pytest.mark.parametrize('given', [
    np.zeros((4, 33000, 3), np.uint8), np.zeros((33000, 1), np.uint8),
    Image.new('L', (33000, 4))])
def test_sides_beyond_the_limit_are_refused(given):
    with pytest.raises(BadImage, match='32,766 pixels per side'):
        list(as_arrays(given))


def test_a_profile_of_a_pil_image_is_applied():
    """Red of sRGB has these levels in Display P3."""
    from tests.hostile import display_p3
    image = Image.new('RGB', (4, 4), (234, 51, 35))
    image.info['icc_profile'] = display_p3()
    assert np.abs(from_pil(image).astype(int) - (255, 0, 0)).max() <= 2


def test_the_tag_is_read_as_srgb_and_changes_nothing(red, tmp_path):
    for name in ('a.png', 'b.png'):
        Image.fromarray(red).save(tmp_path / name, pnginfo=srgb_tag())
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
    with Image.open(tmp_path / 'a.png') as image:
        assert image.info['srgb'] == 0 and np.array_equal(as_rgb(image), red)


def test_a_folder_is_sorted_by_content(red, tmp_path, caplog):
    kept = {'a.png': encoded(noise(), 'PNG'), 'no suffix': encoded(noise(), 'JPEG'),
            'photo.jfif': encoded(noise(), 'JPEG'), 'b.gif': encoded(noise(), 'GIF'),
            'd.AVIF': encoded(noise(), 'AVIF'), 'e.dat': encoded(noise(), 'WEBP')}
    hidden = ('._a.png', '.DS_Store', 'Thumbs.db')
    other = {'letter.txt': b'%PDF-1.4', 'notes.md': b'words'}
    for name, content in {**kept, **other, **dict.fromkeys(hidden, b'x')}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / 'more').mkdir()
    files, skipped = sort_folder(tmp_path)
    assert [path.name for path in files] == sorted(kept)
    assert {path.name: why for path, why in skipped} == {
        'letter.txt': 'a PDF', 'notes.md': 'not an image',
        'more': 'a subfolder: name it as an input of its own'}
    with caplog.at_level(logging.WARNING):
        assert len(list(as_arrays(tmp_path))) == len(kept)
    (tmp_path / 'more/notes.txt').touch()
    with pytest.raises(FileNotFoundError, match=r'no image in .*notes.txt \(an empty'):
        list(as_arrays(tmp_path / 'more'))


def test_a_heic_image_is_read_or_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / 'phone.HEIC'
    path.write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    with monkeypatch.context() as patch:
        patch.setitem(__import__('sys').modules, 'pillow_heif', None)
        with pytest.raises(BadImage, match=r'phone.HEIC .*pip install "fdsr\[heif\]"'):
            read_image(path)
    pytest.importorskip('pillow_heif', reason='needs fdsr[heif]')
    with pytest.raises(BadImage, match='damaged'):
        read_image(path)
    from pillow_heif import register_heif_opener
    register_heif_opener()
    noise().save(path, 'HEIF', quality=95)
    assert np.abs(read_image(path) - np.asarray(noise(), int)).mean() < 6
