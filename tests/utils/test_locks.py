"""Locks of folders that one run at a time may write to."""

import subprocess
import sys
import time

import pytest

from fdsr.utils.locks import FolderInUse, folder_lock

HOLD = """
import sys, time
from fdsr.utils.locks import folder_lock
with folder_lock(sys.argv[1]):
    print('locked', flush=True)
    time.sleep(600)
"""


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / 'new'
    with subprocess.Popen([sys.executable, '-c', HOLD, folder], text=True,
                          stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout.readline() == 'locked\n'
            with pytest.raises(FolderInUse, match='in use by another run.*Wait'):
                with folder_lock(folder):
                    pass
        finally:
            run.kill()
    assert list(folder.iterdir())  # the killed run leaves its file, without the lock
    with folder_lock(folder):
        pass
    assert not list(folder.iterdir())


def test_two_locks_of_a_process(tmp_path):
    with folder_lock(tmp_path):
        with pytest.raises(FolderInUse), folder_lock(tmp_path):
            pass
        with pytest.raises(FolderInUse), folder_lock(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_a_block_that_fails_releases_the_folder(tmp_path):
    with pytest.raises(KeyError), folder_lock(tmp_path):
        raise KeyError
    with folder_lock(tmp_path):
        pass


def test_children_do_not_keep_the_lock_of_a_killed_run(tmp_path):
    """Worker processes may outlive a killed run by seconds."""
    code = """
import multiprocessing, os, signal, sys, time
from fdsr.utils.locks import folder_lock

def work(started):
    started.set()
    time.sleep(3)

with folder_lock(sys.argv[1]):
    context = multiprocessing.get_context('fork')
    started = context.Event()
    context.Process(target=work, args=(started,)).start()
    started.wait()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    started = time.monotonic()
    run = subprocess.Popen([sys.executable, '-c', code, tmp_path])
    assert run.wait() == -9
    with folder_lock(tmp_path):
        assert time.monotonic() - started < 3


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError), folder_lock(tmp_path / 'file' / 'folder'):
        pass
