"""Files that appear whole or not at all."""

import json

import pytest

from fdsr.utils.files import atomic_path, write_bytes, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.rglob('*'))


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'file.txt'
    with atomic_path(path, suffix='.txt') as part:
        assert part.parent == path.parent and part.suffix == '.txt'
        part.write_text('new')
        assert not path.exists()
    assert path.read_text() == 'new' and names(tmp_path) == ['file.txt', 'new']


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / 'file.txt'
    write_text(path, 'old')
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), atomic_path(path) as part:
            part.write_text('half')
            raise error
    assert path.read_text() == 'old' and names(tmp_path) == ['file.txt']


def test_a_block_may_change_its_mind(tmp_path):
    with atomic_path(tmp_path / 'file.txt') as part:
        part.unlink()
    assert names(tmp_path) == []


def test_a_folder_replaces_another(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'old').touch()
    with pytest.raises(OSError, match='full'), atomic_path(
            tmp_path / 'folder', folder=True) as part:
        (part / 'half').touch()
        raise OSError('full')
    assert names(tmp_path) == ['folder', 'old']
    with atomic_path(tmp_path / 'folder', folder=True) as part:
        (part / 'new').touch()
    assert names(tmp_path) == ['folder', 'new']


def test_the_mode_is_that_of_other_files(tmp_path):
    (tmp_path / 'usual').touch()
    write_bytes(tmp_path / 'written', b'')
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_names_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ('ä' * 120 + '.png')
    write_bytes(path, b'1')
    assert path.read_bytes() == b'1'


def test_json_of_what_it_cannot_hold_writes_nothing(tmp_path):
    write_json(tmp_path / 'file.json', dict(a='ä'))
    assert json.loads((tmp_path / 'file.json').read_text('utf-8')) == dict(a='ä')
    with pytest.raises(ValueError):
        write_json(tmp_path / 'file.json', dict(a=float('inf')))
    assert names(tmp_path) == ['file.json']


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='cannot write .*choose a folder'):
        write_text(tmp_path / 'file' / 'inside.txt', '')
