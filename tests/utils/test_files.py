"""Files that appear whole or not at all."""

import json
import os
import subprocess
import sys

import pytest

from fdsr.utils.files import (
    atomic_path,
    remove_leftovers,
    temporary_path,
    write_bytes,
    write_json,
    write_text,
)


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


def killed_while(block):
    """Runs a block of atomic_path or temporary_path in a process that is killed."""
    code = f"""
import os, signal
from fdsr.utils.files import atomic_path, temporary_path
with {block} as part:
    (part / 'upload' if part.is_dir() else part).write_text('half')
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, '-c', code]).returncode == -9


def test_leftovers_of_a_killed_process_are_removed_by_the_next_write(tmp_path):
    folder = tmp_path / 'folder'
    write_text(folder / 'file.txt', 'old')
    killed_while(f"atomic_path({str(folder / 'file.txt')!r}, suffix='.txt')")
    killed_while(f"atomic_path({str(folder / 'index')!r}, folder=True)")
    killed_while(f"temporary_path({str(folder)!r}, '.draft', folder=True)")
    # files of users and of other programs
    for name in ('video.part-1', 'a.part-0123abcd', 'b.part'):
        (folder / name).touch()
    assert (folder / 'file.txt').read_text() == 'old'
    code = ('import sys; from fdsr.utils.files import write_text; '
            "write_text(sys.argv[1], 'new')")
    subprocess.run([sys.executable, '-c', code, folder / 'other.txt'], check=True)
    assert names(folder) == ['a.part-0123abcd', 'b.part', 'file.txt', 'other.txt',
                             'video.part-1']


def test_temporary_files_of_running_processes_stay(tmp_path):
    with (atomic_path(tmp_path / 'file.txt') as file,
          temporary_path(tmp_path, '.draft', folder=True) as folder):
        subprocess.run([sys.executable, '-c', 'import sys\n'
                        'from fdsr.utils.files import remove_leftovers\n'
                        'remove_leftovers(sys.argv[1])', tmp_path], check=True)
        remove_leftovers(tmp_path)
        assert file.exists() and folder.exists()
    assert names(tmp_path) == ['file.txt']


def test_the_name_has_no_process_id(tmp_path):
    with atomic_path(tmp_path / 'file.txt') as part:
        assert str(os.getpid()) not in part.name.rpartition('-')[0]


def test_a_private_folder(tmp_path):
    with temporary_path(tmp_path, 'page', folder=True, mode=0o700) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_process_that_removes_a_file_before_it_is_locked(tmp_path, monkeypatch):
    from fdsr.utils import files
    real, calls = files.lock_descriptor, []

    def late(descriptor, wait=False):
        if wait and not calls:
            calls.append(descriptor)
            next(tmp_path.iterdir()).unlink()
        return real(descriptor, wait)
    monkeypatch.setattr(files, 'lock_descriptor', late)
    write_text(tmp_path / 'file.txt', 'whole')
    assert calls and names(tmp_path) == ['file.txt']
    assert (tmp_path / 'file.txt').read_text() == 'whole'
