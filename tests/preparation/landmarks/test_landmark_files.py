"""CSVs that grow: cut off anywhere, locked, full disks, and what does not match."""

import errno
import os

import numpy as np
import pytest

from fdsr.preparation.landmarks import landmark_files
from fdsr.preparation.landmarks.landmark_files import (
    CannotWriteLandmarks,
    GrowingCsv,
    LandmarkFiles,
)

POINTS = np.arange(10, dtype=np.float32).reshape(5, 2)


def opened(folder, **settings):
    return LandmarkFiles(folder / 'points.csv', folder / 'boxes.csv',
                         folder / 'skipped.csv', settings)


def filled(folder, names=('a', 'b, "c"', 'd')):
    with opened(folder) as files:
        for name in names:
            files.add(name, POINTS, (1.2, -3.7, 10.5, 20.5))
            files.skip(f'{name}.png', 'no face', 'of\nmany\nlines')
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_come_back(tmp_path):
    whole = filled(tmp_path)
    assert whole['boxes.csv'].decode() == (
        'NAME_ID,X,Y,W,H\n"a",1,-4,11,21\n"b, ""c""",1,-4,11,21\n"d",1,-4,11,21\n')
    assert b'"a",0.00,1.00,2.00' in whole['points.csv']
    assert whole['skipped.csv'].splitlines()[1] == b'"a.png",no face,of many lines'
    with opened(tmp_path) as files:
        assert files.with_face == {'a', 'b, "c"', 'd'}
        assert files.without == {'a.png', 'b, "c".png', 'd.png'}
        assert dict(files.skipped_reasons())['d.png'] == 'no face'


@pytest.mark.parametrize('name', ['points.csv', 'boxes.csv'])
def test_a_file_cut_off_at_any_byte_is_mended(tmp_path, name):
    """Whatever is lost, the two files agree, and what is added then makes them whole.
    """
    whole = filled(tmp_path)
    for length in range(len(whole[name])):
        for other, content in whole.items():
            (tmp_path / other).write_bytes(
                content[:length] if other == name else content)
        with opened(tmp_path) as files:
            kept = len(files.landmarks)
            assert kept == len(files.boxes) == max(
                0, whole[name][:length].count(b'\n') - 1)
            for row in ('a', 'b, "c"', 'd')[kept:]:
                files.add(row, POINTS, (1.2, -3.7, 10.5, 20.5))
        assert (tmp_path / name).read_bytes() == whole[name]
        assert (tmp_path / 'points.csv').read_bytes() == whole['points.csv']


@pytest.mark.parametrize('written', [0, 7])
def test_a_full_disk_leaves_whole_rows_and_a_message(tmp_path, monkeypatch, written):
    filled(tmp_path)
    before = (tmp_path / 'points.csv').read_bytes()
    write = os.write

    def full(file, line):
        if not line.startswith(b'"e",0.00'):
            return write(file, line)
        if written:
            return write(file, line[:written])
        raise OSError(errno.ENOSPC, 'No space left on device')

    with opened(tmp_path) as files:
        monkeypatch.setattr(landmark_files.os, 'write', full)
        with pytest.raises(CannotWriteLandmarks, match='No space left.*Free disk'):
            files.add('e', POINTS, (0, 0, 1, 1))
    assert (tmp_path / 'points.csv').read_bytes() == before
    assert b'"e"' in (tmp_path / 'boxes.csv').read_bytes()
    with opened(tmp_path) as files:  # the box without landmarks is gone
        assert files.with_face == {'a', 'b, "c"', 'd'} == set(files.boxes.names)


def test_two_runs_at_once_are_refused(tmp_path):
    with opened(tmp_path):
        with pytest.raises(CannotWriteLandmarks, match='another run'):
            opened(tmp_path)
    opened(tmp_path).close()


def test_files_that_do_not_belong_together(tmp_path):
    filled(tmp_path)
    boxes = tmp_path / 'boxes.csv'
    whole = boxes.read_text()
    boxes.write_text(whole.replace('"a"', '"z"'))
    with pytest.raises(ValueError, match='do not match: one has a'):
        opened(tmp_path)
    boxes.write_text(whole.replace('NAME_ID', 'NAME'))
    with pytest.raises(ValueError, match='expected the columns NAME_ID,X,Y,W,H'):
        opened(tmp_path)
    boxes.write_text(whole.replace('"a",1', '"a"'))
    with pytest.raises(ValueError, match='line 2: expected 5 cells, found 4'):
        opened(tmp_path)
    boxes.write_text(whole)
    with pytest.raises(ValueError, match='three different files'):
        LandmarkFiles(boxes, boxes, tmp_path / 'skipped.csv', {})
    opened(tmp_path).close()  # nothing was lost, nothing stayed locked
    assert boxes.read_text() == whole


@pytest.mark.parametrize('name', ['points.csv', 'boxes.csv', 'skipped.csv'])
def test_tables_that_somebody_else_made_are_left_as_they_are(tmp_path, name):
    """VGGFace2's own CSVs begin as ours do; they must not lose a row."""
    whole = filled(tmp_path)[name][:-1]  # and an end that is not a line's
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / name).write_bytes(whole)
    with pytest.raises(ValueError, match=f'{name} has rows, but points.settings.json'):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == whole


@pytest.mark.parametrize('content', [
    b'a letter without an end', b'\xef\xbb\xbfNAME_ID,X,Y,W,H\n', b'NAME_ID,X,W,Y,H\n',
    b'"NAME_ID","X","Y","W","H"\n', b'\n', b'\x89PNG\r\n'])
def test_files_with_other_columns_are_left_as_they_are(tmp_path, content):
    path = tmp_path / 'boxes.csv'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='expected the columns NAME_ID,X,Y,W,H'):
        GrowingCsv(path, ('NAME_ID', 'X', 'Y', 'W', 'H'))
    assert path.read_bytes() == content


def test_a_run_cut_off_before_it_kept_its_settings_begins(tmp_path):
    filled(tmp_path, names=())
    (tmp_path / 'points.settings.json').unlink()
    (tmp_path / 'boxes.csv').write_text('NAME_ID,X')
    assert filled(tmp_path) == filled(tmp_path / 'new')


def test_other_settings_are_refused(tmp_path):
    with opened(tmp_path, largest=False) as files:
        files.add('a', POINTS, (0, 0, 1, 1))
    with pytest.raises(ValueError, match='started with {"largest": false}, found'):
        opened(tmp_path, largest=True)
    opened(tmp_path, largest=False).close()
    settings = tmp_path / 'points.settings.json'
    settings.write_text('{')
    with pytest.raises(ValueError, match='is not JSON'):
        opened(tmp_path, largest=False)
    settings.unlink()
    with pytest.raises(ValueError, match='with their settings is missing'):
        opened(tmp_path, largest=False)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(CannotWriteLandmarks, match='cannot be written'):
        GrowingCsv(tmp_path / 'file' / 'points.csv', ('NAME_ID',))


def test_a_text_is_written_with_its_folder(tmp_path):
    landmark_files.write_text(tmp_path / 'new' / 'list.txt', 'a.jpg\n')
    assert (tmp_path / 'new' / 'list.txt').read_text() == 'a.jpg\n'
    with pytest.raises(CannotWriteLandmarks, match='list.txt/no cannot be written'):
        landmark_files.write_text(tmp_path / 'new' / 'list.txt' / 'no', '')
    assert len(list(tmp_path.rglob('*'))) == 2


def test_a_long_file_is_read_quickly(tmp_path):
    path = tmp_path / 'points.csv'
    path.write_text('NAME_ID,X\n' + ''.join(f'"{row}",1\n' for row in range(50_000)))
    file = GrowingCsv(path, ('NAME_ID', 'X'))
    file.keep(49_999)
    file.add(['last', '2'])
    file.close()
    assert path.read_text().endswith('"49998",1\n"last",2\n')
