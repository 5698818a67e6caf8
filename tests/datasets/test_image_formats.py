"""Damaged files: truncated, partly filled with zeros, with other headers."""
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, features

from fdsr.datasets.image_formats import SUFFIXES, check_pixels, described, format_of
from fdsr.datasets.reading import BadImage, decode, read_file
from tests.conftest import SHARED
from tests.hostile import BROKEN, encoded

#: Formats and options of PIL.
KINDS = {
    'jpeg': ('JPEG', {}), 'progressive': ('JPEG', dict(progressive=True)),
    'grey jpeg': ('JPEG', {}), 'png': ('PNG', {}), 'webp': ('WEBP', {}),
    'lossless webp': ('WEBP', dict(lossless=True)), 'bmp': ('BMP', {}),
    'tiff': ('TIFF', {}), 'lzw': ('TIFF', dict(compression='tiff_lzw')),
    'deflate': ('TIFF', dict(compression='tiff_deflate')), 'gif': ('GIF', {}),
    'ppm': ('PPM', {}), 'avif': ('AVIF', {}), 'heif': ('HEIF', {})}


def portrait(size=(157, 130)):
    """Smooth colours with some noise."""
    draws = np.random.RandomState(1)
    small = Image.fromarray(draws.randint(40, 220, (9, 9, 3)).astype(np.uint8))
    image = np.asarray(small.resize(size, Image.BICUBIC), int)
    return Image.fromarray((image + draws.randint(-6, 7, image.shape)).clip(1, 255)
                           .astype(np.uint8))


def written(kind):
    name, options = KINDS[kind]
    if name == 'HEIF':
        pytest.importorskip('pillow_heif', reason='needs fdsr[heif]'
                            ).register_heif_opener()
    if name == 'AVIF' and not features.check('avif'):
        pytest.skip('needs Pillow 11.3')
    image = portrait()
    return encoded(image.convert('L') if kind == 'grey jpeg' else image, name,
                   **options)


@pytest.mark.parametrize('kind', KINDS)
def test_whole_files_are_read(kind):
    data = written(kind)
    assert format_of(data) == KINDS[kind][0]
    with_padding = decode(data + bytes(1000) if kind not in ('heif', 'avif') else data)
    assert np.array_equal(with_padding, decode(data))


@pytest.mark.parametrize('share', [0.06, 0.31, 0.52, 0.77, 0.91])
@pytest.mark.parametrize('kind', KINDS)
def test_zeros_and_missing_ends_are_refused(kind, share):
    data = written(kind)
    kept = data[:round(len(data) * (1 - share))]
    for damaged in (kept, kept + bytes(len(data) - len(kept))):
        with pytest.raises(BadImage):
            decode(damaged)


@pytest.mark.parametrize('kind', ['jpeg', 'progressive', 'grey jpeg'])
def test_half_a_jpeg_with_an_end_marker_is_refused(kind):
    data = written(kind)
    for share in (0.3, 0.5, 0.9):
        with pytest.raises(BadImage, match='damaged'):
            decode(data[:round(len(data) * share)] + b'\xff\xd9')


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_a_header_with_another_size_is_refused_fast(kind):
    data = bytearray(encoded(portrait(), kind))
    if kind == 'JPEG':
        at = data.index(b'\xff\xc0') + 5
        data[at:at + 4] = struct.pack('>HH', 12000, 12000)
    else:
        data[16:24] = struct.pack('>II', 12000, 12000)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(BadImage, match='damaged'):
        decode(bytes(data))
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - started < 2 and memory < 50e6


def test_a_flipped_bit_of_a_png_is_refused():
    data = bytearray(encoded(portrait(), 'PNG'))
    for at in np.random.RandomState(0).randint(8, len(data), 40):
        data[at] ^= 16
        with pytest.raises(BadImage):
            decode(bytes(data))
        data[at] ^= 16


def test_harmless_warnings_of_libjpeg_are_tolerated():
    data = encoded(portrait(), 'JPEG')
    assert np.array_equal(decode(data[:-2] + b'\0\0\xff\xd9'), decode(data))


def test_uniform_images_are_not_damaged():
    for colour in ('black', 'white', 'red'):
        image = Image.new('RGB', (1500, 1000), colour)
        for name, options in KINDS.values():
            if name != 'HEIF' and (name != 'AVIF' or features.check('avif')):
                decode(encoded(image, name, **options))


@pytest.mark.parametrize('kind', ['BMP', 'TIFF', 'PPM'])
def test_black_borders_are_not_damage(kind):
    image = Image.new('RGB', (150, 190))
    image.paste(portrait((150, 130)), (0, 30))
    tilted = image.rotate(7, Image.BICUBIC)
    for given in (image, tilted, image.rotate(90), image.crop((0, 20, 150, 100))):
        assert np.array_equal(decode(encoded(given, kind)), given)


def test_the_first_row_of_the_file_may_be_the_lowest():
    pixels = np.full((20, 30), 9, np.uint8)
    pixels[:4] = pixels[4, 11:] = 0
    check_pixels('BMP', pixels)
    with pytest.raises(ValueError, match='row 4'):
        check_pixels('BMP', pixels, from_bottom=True)
    with pytest.raises(ValueError, match='row 15'):
        check_pixels('TIFF', pixels[::-1])
    check_pixels('PNG', pixels[::-1])


def test_other_files_are_named():
    assert described(b'') == 'an empty file'
    assert described(b'\0' * 64) == 'a file of zeros'
    assert described(b'\0\0\0\x20ftypisom') == 'a video'
    assert described(b'\0\5\x16\7\0\2\0\0Mac OS X') == 'a metadata file of macOS'
    assert described(b'BM is not a bitmap') == 'not an image'
    assert format_of(b'BM is not a bitmap, but a text of sixty-four bytes') is None


def test_a_folder_and_a_pipe_are_not_files(tmp_path):
    import os
    os.mkfifo(tmp_path / 'pipe.png')
    for path in (tmp_path, tmp_path / 'pipe.png'):
        with pytest.raises(BadImage, match='not a file'):
            read_file(path)
    (tmp_path / 'large.png').write_bytes(bytes(300))
    with pytest.raises(BadImage, match='has 0.0 MB, at most 0 MB'):
        read_file(tmp_path / 'large.png', 200)


@pytest.mark.parametrize('name', [
    'png_second_half_zeros.png', 'jpeg_half_then_eoi.jpg', 'jpeg_zero_tail.jpg',
    'webp_zero_tail.webp', 'huge_sof_144mp.jpg', 'strip32767.png',
    'strip_33000x40.png', 'size_1x65000.png'])
def test_files_from_reports_are_refused(name):
    path = SHARED / 'cases' / name
    if not path.is_file():
        pytest.skip('shared/cases is not on this machine')
    with pytest.raises(BadImage, match='damaged|32,766 pixels per side'):
        decode(path.read_bytes())


def test_every_kind_has_a_suffix():
    assert {f'.{name.lower()}' for name, _ in KINDS.values()} <= {
        *SUFFIXES, '.tiff', '.jpeg'}
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)
    assert format_of(BROKEN['text.jpg'][0]) is None
