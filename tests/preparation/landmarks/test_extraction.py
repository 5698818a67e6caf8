"""From a folder of pictures to VGGFace2's CSVs: which rows, and what is skipped."""

import csv
import io
import os
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from fdsr.datasets import VGGFace2Dataset
from fdsr.datasets.vggface2_files import LANDMARK_COLUMNS, read_csv, read_listing
from fdsr.landmarks import FaceLandmarks, LandmarkDetector
from fdsr.preparation.executor import Executor
from fdsr.preparation.faces.sources import _is_listable
from fdsr.preparation.landmarks.extraction import (
    Examiner,
    ExtractionSettings,
    Skipped,
    extract,
    find_images,
    write_list,
)
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
from fdsr.registry import LANDMARKS
from tests.hostile import BROKEN

FIVE = np.array([[40, 50], [80, 50], [60, 72], [45, 95], [75, 95]], np.float32)


@LANDMARKS.register_module()
class PixelLandmarks(LandmarkDetector):
    """Finds as many faces as the first pixel's red tells, so large as its green."""

    calls: list = []
    check_orientation = False  # in a rotated copy, another pixel is the first

    def detect_faces(self, image):
        red, green, blue = (int(value) for value in image[0, 0])
        self.calls.append((red, green, blue))
        if blue == 255:
            raise RuntimeError('a model\nis broken')
        return [FaceLandmarks(FIVE * (green / 40) / (number + 1))
                for number in range(red)]


@pytest.fixture
def settings():
    PixelLandmarks.calls.clear()
    return ExtractionSettings(dict(type='fdsr.PixelLandmarks'))


@contextmanager
def no_progress(total, done):
    yield lambda count: None


def save(path, faces=1, eyes=40, blue=0, size=(120, 140), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (faces, eyes, blue)).save(path, **options)


def opened(folder, settings):
    return LandmarkFiles(folder / 'points.csv', folder / 'boxes.csv',
                         folder / 'skipped.csv', asdict(settings))


def run(source, folder, settings, progress=no_progress, num_workers=0):
    with opened(folder, settings) as files:
        return extract(source, find_images(source), files, settings, progress,
                       Executor(num_workers))


def contents(folder):
    return {path.name: path.read_text('utf-8') for path in sorted(folder.iterdir())}


def skipped_in(folder):
    return list(csv.reader((folder / 'skipped.csv').open()))[1:]


def test_a_row_for_each_face_in_the_order_of_paths(tmp_path, settings):
    source = tmp_path / 'faces'
    for name in ('n2/b.png', 'n10/a.png', 'n2/a.png', 'top.webp', '.hidden/c.png'):
        save(source / name, lossless=True)
    (source / 'notes.txt').write_text('no picture')
    found = run(source, tmp_path / 'out', settings)
    assert found == (4, 4, {}, 4)
    assert (tmp_path / 'out/points.csv').read_text() == (
        'NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\n' + ''.join(
            f'"{name}",40.00,50.00,80.00,50.00,60.00,72.00,45.00,95.00,75.00,95.00\n'
            for name in ('n10/a', 'n2/a', 'n2/b', 'top')))
    # 2.26 and 2.63 eye distances; the centre 4 px above the mean (60, 72.4)
    assert (tmp_path / 'out/boxes.csv').read_text().splitlines()[:2] == [
        'NAME_ID,X,Y,W,H', '"n10/a",15,16,90,105']
    assert (tmp_path / 'out/skipped.csv').read_text() == 'PICTURE,REASON,DETAIL\n'


def test_the_data_set_reads_it(tmp_path, settings):
    root = tmp_path / 'root'
    for name in ('n1/0001_01.png', 'n1/0002_01.png', 'n2/0001_01.png'):
        save(root / 'train' / name)
    save(root / 'train/n2/0002_01.png', faces=0)
    folder = root / 'bb_landmark'
    with LandmarkFiles(
            folder / 'loose_landmark_train.csv', folder / 'loose_bb_train.csv',
            folder / 'skipped.csv', asdict(settings)) as files:
        pictures = find_images(root / 'train')
        extract(root / 'train', pictures, files, settings, no_progress)
        write_list(root / 'train_list.txt', pictures, files)
    faces = VGGFace2Dataset(root, size=32, align='five_point', cache_dir=tmp_path)
    assert len(faces) == 3 and faces.index.facts['identities'] == 2
    assert [faces[index]['name'] for index in range(3)] == [
        'n1/0001_01', 'n1/0002_01', 'n2/0001_01']
    assert faces[0]['img'].shape == (32, 32, 3)


def test_what_is_skipped_has_its_reason(tmp_path, settings):
    source = tmp_path / 'faces'
    save(source / '1.png', faces=0)
    save(source / '2.png', faces=3)
    save(source / '3.png', eyes=20)
    save(source / '4.png', blue=255)
    (source / '5.jp2').touch()
    save(source / '6.png')
    save(source / '6.webp', lossless=True)
    save(source / '7.png', faces=0, size=(80, 60))
    exif = Image.Exif()
    exif[274] = 6
    save(source / '8.png', faces=0, exif=exif)
    (source / '9').write_bytes((source / '1.png').read_bytes())
    (source / 'notes').write_text('not an image')
    settings = ExtractionSettings(settings.detector, min_eyes=30)
    found = run(source, tmp_path / 'out', settings)
    assert skipped_in(tmp_path / 'out') == [
        ['1.png', 'no face', ''],
        ['2.png', 'several faces', '3'],
        ['3.png', 'too small', 'eyes 20.0 px apart'],
        ['4.png', 'detector failed', 'RuntimeError: a model is broken'],
        ['5.jp2', 'format', 'the dataset does not read .jp2: convert it to .png'],
        ['6.webp', 'same name', '6.png has the same NAME_ID 6'],
        ['7.png', 'no face', ''],
        ['8.png', 'no face', 'the dataset does not apply its EXIF orientation 6: '
                             'rotate its pixels'],
        ['9', 'format', 'the dataset does not know the suffix of this PNG image: '
                        'rename it']]
    assert found.faces == 1 and found.skipped['no face'] == 3
    largest = ExtractionSettings(settings.detector, largest=True)
    assert run(source, tmp_path / 'largest', largest).faces == 3
    row = (tmp_path / 'largest/points.csv').read_text().splitlines()[1]
    assert row.startswith('"2",40.00,50.00,80.00')  # the first one is the largest


@pytest.mark.parametrize('stop', range(1, 8))
def test_a_stopped_run_goes_on_exactly(tmp_path, settings, stop):
    source = tmp_path / 'faces'
    for number in range(8):
        save(source / f'{number}.png', faces=(1, 0, 2, 1)[number % 4], blue=number)
    run(source, tmp_path / 'whole', settings)
    done = []

    @contextmanager
    def stopping(total, done_before):
        def update(count):
            done.append(count)
            if len(done) == stop:
                raise KeyboardInterrupt
        yield update

    PixelLandmarks.calls.clear()
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / 'out', settings, stopping)
    for name in ('points.csv', 'boxes.csv', 'skipped.csv'):  # and a row cut off
        with (tmp_path / 'out' / name).open('a') as file:
            file.write('"7",12,3'[:stop])
    assert run(source, tmp_path / 'out', settings).done_now == 8 - stop
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')
    looked_at = [call[2] for call in PixelLandmarks.calls if call != (0, 0, 0)]
    assert looked_at == list(range(8))  # each of them once
    before = len(PixelLandmarks.calls)
    assert run(source, tmp_path / 'out', settings).done_now == 0
    assert len(PixelLandmarks.calls) == before


def test_pictures_that_came_later_stand_behind(tmp_path, settings):
    source = tmp_path / 'faces'
    save(source / 'b.png')
    run(source, tmp_path / 'out', settings)
    save(source / 'a.png')
    assert run(source, tmp_path / 'out', settings) == (2, 2, {}, 1)
    rows = (tmp_path / 'out/points.csv').read_text().splitlines()
    assert [row[:3] for row in rows[1:]] == ['"b"', '"a"']


def test_strange_names(tmp_path, settings):
    source = tmp_path / 'faces'
    for name in ('a "quoted", one.png', 'two\nlines.png', 'müller/ü.png', '.x.png',
                 ' a.png'):
        save(source / name)
    os.rename(source / 'a "quoted", one.png', source / 'a "quoted", one.PNG')
    with open(os.fsencode(source) + b'/\xff.png', 'wb') as file:
        file.write((source / 'two\nlines.png').read_bytes())
    (source / 'link.png').symlink_to(source / 'gone.png')
    (source / 'circle').symlink_to(source)
    os.mkfifo(source / 'pipe.png')
    (source / 'folder.png').mkdir()
    assert run(source, tmp_path / 'out', settings).faces == 2
    names = [row[0] for row in csv.reader((tmp_path / 'out/points.csv').open())]
    assert names == ['NAME_ID', 'a "quoted", one', 'müller/ü']
    assert [row[:2] for row in skipped_in(tmp_path / 'out')] == [
        [' a.png', 'name'], ['link.png', 'unreadable'], ['pipe.png', 'unreadable'],
        ['two\\nlines.png', 'name'], ['\\udcff.png', 'name']]
    assert run(source, tmp_path / 'out', settings).done_now == 0


def test_names_with_other_spaces(tmp_path, settings):
    """Only ASCII's spaces are stripped where names are read."""
    names = ['\u00a0first', 'last\u00a0', 'a\u00a0b', 'at 9.41\u202fAM',
             'family \U0001f468\u200d\U0001f467']
    for name in names:
        save(tmp_path / 'in' / f'{name}.png')  # JPEG changes the first pixel
    assert run(tmp_path / 'in', tmp_path / 'out', settings).faces == len(names)
    assert not skipped_in(tmp_path / 'out')
    found, _ = read_csv(tmp_path / 'out/points.csv', LANDMARK_COLUMNS)
    assert {name.decode() for name in found} == set(names)
    listing = tmp_path / 'list.txt'
    listing.write_text(''.join(f'{name}.png\n' for name in names), encoding='utf-8')
    assert [name.decode() for name in read_listing(listing)[0]] == names
    assert all(_is_listable(f'{name}.jpg') for name in names)
    assert not any(map(_is_listable, (' a.jpg', 'a.jpg ', 'a\nb.jpg')))


def test_a_folder_without_pictures(tmp_path, settings):
    with pytest.raises(FileNotFoundError, match='is not a folder'):
        find_images(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='contains no image'):
        find_images(tmp_path)
    with pytest.raises(ValueError, match='min_eyes is nan'):
        ExtractionSettings(min_eyes=float('nan'))


# Bad pictures, by the real detector


@pytest.fixture(scope='module')
def woman():
    """(180, 200, 3), one face."""
    data = pytest.importorskip('skimage.data', reason='needs fdsr[tests]')
    return data.astronaut()[40:220, 130:330]


@pytest.fixture(scope='module')
def look(tmp_path_factory):
    """Saves a picture, or bytes, and says what comes of it."""
    pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
    folder = tmp_path_factory.mktemp('pictures')
    examiner = Examiner(folder, ExtractionSettings())

    def look(picture, name, **options):
        if isinstance(picture, bytes):
            (folder / name).write_bytes(picture)
        else:
            picture.save(folder / name, **options)
        return examiner(name)

    look.folder = folder
    return look


def reason_of(outcome) -> str:
    assert isinstance(outcome, Skipped), outcome
    return outcome.reason


def test_pictures_of_other_kinds_have_the_same_points(look, woman):
    picture = Image.fromarray(woman)
    points = look(picture, 'plain.png').points
    exif = Image.Exif()
    exif[274] = 6  # the file's pixels count, as for the data set
    others = [
        look(picture.convert('CMYK'), 'cmyk.jpg', quality=95),
        look(picture.convert('L'), 'grey.png'),
        look(Image.fromarray(np.asarray(picture.convert('L')).astype(np.uint16) * 257),
             '16 bits.png'),
        look(picture.convert('RGBA'), 'alpha.png'),
        look(picture.quantize(256), 'palette.png'),
        look(picture, 'turned.jpg', quality=95, exif=exif),
        look(picture, 'moving.webp', save_all=True, lossless=True,
             append_images=[Image.new('RGB', picture.size)]),
    ]
    (look.folder / 'gif.gif').touch()
    picture.save(look.folder / 'gif.gif', save_all=True,
                 append_images=[Image.new('RGB', picture.size)])
    os.rename(look.folder / 'gif.gif', look.folder / 'gif.jpg')  # its first picture
    others.append(look((look.folder / 'gif.jpg').read_bytes(), 'gif.jpg'))
    for other in others:
        assert np.abs(other.points - points).max() < 2


def test_pictures_that_show_no_face(look, woman):
    picture = Image.fromarray(woman)
    upright = picture.transpose(Image.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 8
    sideways = look(upright.crop((0, 0, 180, 200)), 'sideways.jpg', exif=exif)
    if isinstance(sideways, Skipped):  # a detector may see it all the same
        assert 'EXIF orientation 8' in sideways.detail
    assert reason_of(look(Image.new('RGB', (1, 1)), '1x1.png')) == 'too small'
    assert reason_of(look(Image.new('RGB', (20_000, 300)), 'wide.png')) == 'shape'
    assert reason_of(look(Image.new('RGB', (20_000, 1500)), 'large.png')) == 'no face'
    floats = io.BytesIO()
    Image.fromarray(np.float32(picture.convert('L')) * 9).save(floats, 'TIFF')
    assert reason_of(look(floats.getvalue(), 'floats.png')) == 'unreadable'


def test_a_large_picture_has_points_in_its_own_pixels(look, woman):
    picture = Image.fromarray(woman)
    points = look(picture, 'plain.png').points
    large = look(picture.resize((6000, 5400), Image.BICUBIC), 'large.jpg').points
    assert np.abs((large + 0.5) / 30 - 0.5 - points).max() < 1.5


@pytest.mark.parametrize('others, largest', [(0, False), (1, False), (1, True)])
def test_small_faces_in_large_photographs(tmp_path, woman, others, largest):
    """The detector for photographs finds what fills a fiftieth of the longer side."""
    pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
    woman = Image.fromarray(woman)
    photo = Image.new('RGB', (5000, 3000), (120, 130, 120))
    photo.paste(woman, (3500, 1800))
    if others:
        photo.paste(woman.resize((100, 90), Image.BICUBIC), (600, 700))
    photo.save(tmp_path / 'photo.jpg', quality=95)
    assert reason_of(Examiner(tmp_path, ExtractionSettings())('photo.jpg')) == 'no face'
    settings = ExtractionSettings(
        dict(type='fdsr.MediaPipePhotoLandmarks', halvings=3), largest)
    outcome = Examiner(tmp_path, settings)('photo.jpg')
    if others and not largest:
        assert outcome == Skipped('several faces', '2')
        return
    woman.save(tmp_path / 'plain.png')
    alone = Examiner(tmp_path, ExtractionSettings())('plain.png')
    # the photograph is shrunk to 4096 px before it is looked at
    assert np.abs(outcome.points - (3500, 1800) - alone.points).max() < 3


def test_pictures_that_cannot_be_read(look, woman):
    Image.fromarray(woman).save(look.folder / 'whole.jpg')
    Image.fromarray(woman).save(look.folder / 'whole.png')
    jpg, png = ((look.folder / f'whole.{kind}').read_bytes() for kind in ('jpg', 'png'))
    for number, broken in enumerate((
            b'', jpg[:len(jpg) // 2], png[:len(png) // 2], png[:40], b'GIF89a',
            b'RIFF\x10\0\0\0WEBPVP8 ', jpg[:2] + b'\xff\xe1\0\x08Exif\0', b'<html>')):
        outcome = look(broken, f'broken{number}.jpg')
        assert reason_of(outcome) == 'unreadable' and outcome.detail
        assert str(look.folder) not in outcome.detail
    assert reason_of(look(bomb(), 'bomb.png')) == 'unreadable'
    for name, (broken, _) in BROKEN.items():
        assert reason_of(look(broken, name)) == 'unreadable', name


def bomb() -> bytes:
    """A PNG's beginning that promises 400 million pixels."""
    import struct
    import zlib
    header = b'IHDR' + struct.pack('>IIBBBBB', 20_000, 20_000, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + header
            + struct.pack('>I', zlib.crc32(header)))


# Accuracy

#: Over all 200 test faces the means were 0.0108 of the eye distance (the nose 0.0136,
#: the worst face 0.0248) and 0.913 of the boxes' union.
MOST_OFF, LEAST_SHARED = 0.02, 0.85


def test_accuracy_on_real_faces(shared_faces):
    """Against CSVs that another run of Face Mesh made."""
    pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
    folder = shared_faces / 'bb_landmark'
    tables = [list(csv.reader((folder / f'loose_{kind}_test.csv').open()))[1:41]
              for kind in ('landmark', 'bb')]
    examiner = Examiner(shared_faces / 'test', ExtractionSettings())
    errors, shared = [], []
    for (name, *points), (_, *box) in zip(*tables):
        expected = np.array(points, float).reshape(5, 2)
        face = examiner(f'{name}.jpg')
        assert isinstance(face, FaceLandmarks), f'{name}: {face}'
        errors.append(np.linalg.norm(face.points - expected, axis=1)
                      / np.linalg.norm(expected[1] - expected[0]))
        shared.append(shared_part(face.loose_box(), np.array(box, float)))
    assert np.mean(errors, axis=0).max() < MOST_OFF
    assert np.max(np.mean(errors, axis=1)) < 2 * MOST_OFF
    assert np.mean(shared) > LEAST_SHARED


def shared_part(first, second) -> float:
    """The part of the union that two boxes x, y, w, h share."""
    (x, y, w, h), (a, b, c, d) = first, second
    both = (min(x + w, a + c) - max(x, a)) * (min(y + h, b + d) - max(y, b))
    return both / (w * h + c * d - both)




@LANDMARKS.register_module()
class UpsideDownLandmarks(LandmarkDetector):
    """Finds an upside-down face in each image."""

    check_orientation = False

    def detect_faces(self, image):
        return [FaceLandmarks(120 - FIVE)]


def test_a_face_that_is_not_upright_is_skipped_with_its_angle(tmp_path):
    save(tmp_path / 'a.png')
    outcome = Examiner(tmp_path, ExtractionSettings(
        dict(type='fdsr.UpsideDownLandmarks')))('a.png')
    assert outcome.reason == 'pose'
    assert 'rotated by 180 degrees' in outcome.detail
