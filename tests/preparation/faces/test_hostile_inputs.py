"""Bad pictures and bad CSVs: skipped with a reason, or refused with a remedy."""
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdsr.datasets import FaceManifestDataset, VGGFace2Dataset
from tests.datasets.conftest import FACE, POINTS
from tests.hostile import BROKEN, DOT, GOOD, encoded, noise
from tests.preparation.faces.test_prepare import skipped_of

BAD = {**{file: (data, 'unreadable', reason)
          for file, (data, reason) in BROKEN.items()},
       'dot.png': (DOT, 'no cut', 'image of 1x1')}


@pytest.mark.parametrize('file', BAD)
def test_it_is_skipped_with_its_reason(people, prepared, tmp_path, file):
    data, kind, reason = BAD[file]
    people.add(f'x/{file}', data)
    summary = prepared(people.settings())
    assert summary['splits']['train']['kept'] == 12
    row = skipped_of(tmp_path / 'out')[f'x/{Path(file).stem}']
    assert row['kind'] == kind and reason in row['reason']


@pytest.mark.parametrize('file', GOOD)
def test_it_becomes_the_face_that_it_shows(tree, prepared, tmp_path, file):
    tree.add(f'a/{file}', GOOD[file])
    tree.add('b/plain.png', encoded(noise(), 'PNG'))
    prepared(tree.settings(encoding='png'))
    faces = FaceManifestDataset(tmp_path / 'out')
    odd, plain = (faces[index]['img'].astype(int) for index in (0, 1))
    plain = plain @ (.299, .587, .114)
    assert np.abs(odd @ (.299, .587, .114) - plain).mean() < 6


def test_odd_pictures_are_those_of_the_data_set(toy_root, prepared,  # noqa: F811
                                                 tmp_path):
    from fdsr.preparation.faces.settings import Settings
    toy = toy_root()
    for name, data in zip(toy.names, GOOD.values()):
        toy.image(name).write_bytes(data)
    prepared(Settings(str(toy.root), size=32, encoding='png'))
    expected = VGGFace2Dataset(toy.root, size=32, align='five_point')
    for one, other in zip(FaceManifestDataset(tmp_path / 'out'), expected):
        assert np.array_equal(one['img'], other['img']), one['name']


def test_a_long_picture_is_read(tree, prepared, tmp_path):
    image = Image.new('RGB', (20000, 200), (90, 90, 90))
    image.paste(noise(), (0, 0))
    tree.add('a/long.jpg', image)
    assert prepared(tree.settings())['splits']['train']['kept'] == 1


@pytest.mark.parametrize('exif', [False, True])
def test_exif_turns_the_picture_only_if_the_points_are_turned(tree, prepared, tmp_path,
                                                              exif):
    # in the file the picture lies on its side; EXIF turns it back
    upright = noise()
    lying = upright.transpose(Image.ROTATE_90)
    orientation = Image.Exif()
    orientation[0x0112] = 6  # turn by 90 degrees clockwise
    points = FACE + 30
    if not exif:  # a point (x, y) lies at (y, width - 1 - x) in the file
        points = np.stack([points[:, 1], 159 - points[:, 0]], axis=1)
    tree.add('a/turned.png', encoded(lying, 'PNG', exif=orientation),
             row=','.join(f'{value:.2f}' for value in points.ravel()))
    tree.add('b/upright.png', encoded(upright, 'PNG'))
    prepared(tree.settings(encoding='png', exif=exif))
    faces = FaceManifestDataset(tmp_path / 'out')
    one, other = faces[0], faces[1]
    assert np.abs(one['landmarks'] - other['landmarks']).max() < 0.1
    assert np.abs(one['img'].astype(int) - other['img']).mean() < 3


def test_rows_that_lack_something_are_skipped(people, prepared, tmp_path):
    for name, row in dict(nan='nan,' + '1,' * 8 + '1', word='left,' + '1,' * 8 + '1',
                          gap=',' * 9, one=','.join(['5'] * 10),
                          far=','.join(f'{v + 9000:g}' for v in FACE.ravel())).items():
        people.add(f'x/{name}.jpg', row=row)
    people.add('x/unlisted.jpg')
    del people.points['x/unlisted']
    people.write()
    summary = prepared(people.settings())
    found = {name: row['kind'] for name, row in skipped_of(tmp_path / 'out').items()}
    assert found == {'x/nan': 'not listed well', 'x/word': 'not listed well',
                     'x/gap': 'not listed well', 'x/unlisted': 'not listed well',
                     'x/one': 'no cut', 'x/far': 'no cut'}
    assert 'points.csv' in skipped_of(tmp_path / 'out')['x/unlisted']['reason']
    assert summary['splits']['train']['listed'] == 18


@pytest.mark.parametrize('how', [dict(bom='\ufeff'), dict(quote=''),
                                 dict(header=POINTS.replace(',', ', '))])
def test_spellings_of_a_csv(people, prepared, how):
    people.write(**how)
    assert prepared(people.settings())['splits']['train']['kept'] == 12


def test_a_name_twice_counts_once(people, prepared, tmp_path):
    with people.csv.open('a') as file:
        file.write('"a/0",' + ','.join(['3'] * 10) + '\n')
    assert prepared(people.settings())['splits']['train']['kept'] == 12
    row = skipped_of(tmp_path / 'out')['a/0']
    assert row['kind'] == 'note' and 'duplicate in points.csv' in row['reason']


@pytest.mark.parametrize('header, error', [
    (POINTS.replace('P3X', 'NOSE'), 'lacks the column.*P3X'), ('', 'points.csv')])
def test_wrong_columns_are_refused(people, prepared, header, error):
    people.write(header=header)
    if not header:
        people.csv.write_text('')
    with pytest.raises(ValueError, match=error):
        prepared(people.settings())
    people.write()  # mended, it is prepared into the same folder
    assert prepared(people.settings())['splits']['train']['kept'] == 12


def test_names_that_lead_out_of_the_folder(toy_root, prepared, tmp_path):  # noqa: F811
    from fdsr.preparation.faces.settings import Settings
    toy = toy_root()
    lines = toy.listing.read_text().splitlines()
    toy.listing.write_text('\n'.join([*lines, '../train/n000002/0001_01.jpg']) + '\n')
    for path in (toy.boxes, toy.landmarks):
        row = path.read_text().splitlines()[1].split(',', 1)[1]
        with path.open('a') as file:
            file.write(f'"../train/n000002/0001_01",{row}\n')
    summary = prepared(Settings(str(toy.root), size=32))
    assert summary['splits']['train']['kept'] == 20
    assert 'outside of the folder' in skipped_of(tmp_path / 'out')[
        '../train/n000002/0001_01']['reason']


def test_strange_names(people, prepared, tmp_path):
    picture = (people.root / 'a' / '0.jpg').read_bytes()
    for name in ('x/a ""q"", b', 'x/ü', 'x/ space', 'x/\u2028'):
        people.add(f'{name.replace(chr(34) * 2, chr(34))}.jpg', picture)
        people.points[name] = people.points.pop(next(reversed(people.points)))
    people.write()
    for name in (b'two\nlines.jpg', b'\xff.jpg', b' before.jpg', b'end\r.jpg'):
        (people.root / os.fsdecode(name)).write_bytes(picture)
    assert prepared(people.settings())['splits']['train']['kept'] == 16
    found = {name: row['kind'] for name, row in skipped_of(tmp_path / 'out').items()}
    assert found == dict.fromkeys(
        ['two\\nlines.jpg', '\\udcff.jpg', ' before.jpg', 'end\\r.jpg'], 'name')


def test_hidden_files_and_links_in_circles_are_passed_over(people, prepared, tmp_path):
    for name in ('a/._0.jpg', '.thumbnails/0.jpg'):
        (people.root / name).parent.mkdir(exist_ok=True)
        (people.root / name).write_bytes(b'no picture')
    (people.root / 'a' / 'around').symlink_to(people.root)
    (people.root / 'd' / 'again').symlink_to('../a')
    assert prepared(people.settings())['splits']['train']['listed'] == 12
    assert skipped_of(tmp_path / 'out') == {}


def test_nothing_left_names_the_list(tree, prepared):
    tree.add('a/empty.jpg', b'')
    tree.add('b/empty.jpg', b'')
    with pytest.raises(ValueError, match='None of 2 faces .*skipped.csv'):
        prepared(tree.settings())


def test_missing_things_are_named(people, prepared, tmp_path):
    from fdsr.preparation.faces.settings import Settings
    with pytest.raises(FileNotFoundError, match='extract_landmarks'):
        prepared(Settings(str(people.root), landmarks=str(tmp_path / 'no.csv')))
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(FileNotFoundError, match='contains no image'):
        prepared(Settings(str(tmp_path / 'nothing'), landmarks=str(people.csv)))
    with pytest.raises(FileNotFoundError, match='layout'):
        prepared(Settings(str(people.root)), 'other')


@pytest.mark.parametrize('kwargs', [
    dict(size=0), dict(align='eyes'), dict(quality=0), dict(duplicates=40),
    dict(encoding='raw'), dict(shard_size=0), dict(boxes='boxes.csv'),
    dict(eye_share=float('nan')), dict(listing='test', val_identities=3)])
def test_impossible_settings(kwargs):
    from fdsr.preparation.faces.settings import Settings
    with pytest.raises(ValueError):
        Settings('data', **kwargs)
