"""From a folder of pictures to VGGFace2's CSVs: which rows, and what is skipped."""

import csv
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
    extract,
    find_images,
    write_list,
)
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
from fdsr.registry import LANDMARKS

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
