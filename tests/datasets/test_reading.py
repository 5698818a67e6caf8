"""Files of every odd and broken kind, as the data set of photographs reads them."""
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import images as api
from fdsr.apis.images import from_pil
from fdsr.datasets import VGGFace2Dataset
from fdsr.datasets.base import BadSample
from fdsr.datasets.reading import (
    as_rgb,
    decode,
    files_below,
    open_image,
    read_image,
    strict_decoders,
)
from tests.hostile import BROKEN, DOT, GOOD, encoded, noise


@pytest.fixture
def first_is(toy_root, tmp_path):
    """The toy set with another first picture."""
    def build(data, **kwargs):
        toy = toy_root()
        toy.image(toy.names[0]).write_bytes(data)
        return VGGFace2Dataset(toy.root, size=64, report_dir=tmp_path, **kwargs)
    return build


def test_threads_do_not_change_each_others_warnings():
    """A TIFF turns warnings into errors while it is decoded, a JPEG ignores them."""
    before, is_inside = list(warnings.filters), threading.Event()

    def tiff():
        with strict_decoders('TIFF'):
            is_inside.set()
            time.sleep(0.05)

    def jpeg():
        is_inside.wait()
        with strict_decoders('JPEG'):
            time.sleep(0.1)  # leaves after the TIFF

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tiff), pool.submit(jpeg)]:
            done.result()
    assert list(warnings.filters) == before


def test_a_lack_of_memory_is_no_damage(monkeypatch):
    def fails(*_, **__):
        raise MemoryError
    monkeypatch.setattr('fdsr.datasets.reading._pixels', fails)
    with pytest.raises(MemoryError):
        decode(encoded(noise(), 'PNG'))


@pytest.mark.parametrize('align', [None, 'five_point'])
@pytest.mark.parametrize('file', [*BROKEN, 'dot.png'])
def test_what_cannot_be_used_is_a_row_of_the_report(first_is, file, align):
    data, reason = dict(BROKEN, **{'dot.png': (DOT, '1x1')})[file]
    faces = first_is(data, align=align)
    assert faces.protocol()['padded']['of'] in (19, 20)  # where the header is read
    assert faces[0] is None and faces[1] is not None
    row, = faces.report.rows()
    assert row['name'] == faces.sample_name(0) and reason in row['reason']
    assert faces.num_skipped == 1


@pytest.mark.parametrize('file', GOOD)
def test_what_can_be_read_is_what_it_shows(first_is, file):
    odd = first_is(GOOD[file])[0]['img'] @ (.299, .587, .114)
    plain = first_is(encoded(noise(), 'PNG'))[0]['img'] @ (.299, .587, .114)
    assert np.abs(odd - plain).mean() < 6


def test_pixels_count_as_they_lie_in_the_file(first_is):
    """Boxes and landmarks are given in the file's pixels: EXIF does not turn them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = first_is(encoded(noise(), 'PNG', exif=exif))[0]
    plain = first_is(encoded(noise(), 'PNG'))[0]
    assert np.array_equal(turned['img'], plain['img'])


def test_a_long_strip(first_is):
    image = Image.new('RGB', (20000, 200))
    image.paste(noise(), (0, 0))
    strip, plain = (first_is(encoded(one, 'PNG'))[0]['img'] for one in (image, noise()))
    # the cut reaches over what was pasted
    assert np.array_equal(strip[:, :48], plain[:, :48])


@pytest.mark.parametrize('kind', ['folder', 'link'])
def test_what_is_no_file(tmp_path, kind):
    path = tmp_path / 'face.jpg'
    path.mkdir() if kind == 'folder' else path.symlink_to(tmp_path / 'gone.jpg')
    with pytest.raises(BadSample, match='missing image|cannot be decoded'):
        open_image(path, 'face')


@pytest.mark.parametrize('exif', [False, True])
@pytest.mark.parametrize('file', GOOD)
def test_the_api_sees_the_same(tmp_path, file, exif):
    path = tmp_path / file
    path.write_bytes(GOOD[file])
    with Image.open(path) as image:
        assert np.array_equal(read_image(path, file, exif), from_pil(image))
        assert np.array_equal(read_image(path, file, exif), api.read_image(path))


def test_rgb_is_not_copied():
    image = noise()
    assert as_rgb(image) is image


def test_files_are_found_once_and_in_order(tmp_path):
    for name in ('b/2.png', 'b/10.png', 'a/c/1.png', 'top.txt', '.git/x', 'a/.x'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'b' / 'around').symlink_to('..')
    (tmp_path / 'z').symlink_to('a')  # seen already
    assert list(files_below(tmp_path)) == [
        'top.txt', 'a/c/1.png', 'b/10.png', 'b/2.png']
