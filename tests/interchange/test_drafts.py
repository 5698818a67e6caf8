"""Temporary folders of results that consist of several files."""

import subprocess
import sys

import pytest

from fdsr.interchange.drafts import CannotWrite, draft_folder

KILLED = """
import os, signal, sys
from fdsr.interchange.drafts import draft_folder
with draft_folder(__import__('pathlib').Path(sys.argv[1])) as draft:
    (draft / 'network.pth').write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_run_is_removed_by_the_next(tmp_path):
    assert subprocess.run([sys.executable, '-c', KILLED, tmp_path]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with draft_folder(tmp_path) as draft:
        (draft / 'network.pth').write_bytes(b'whole')
        (draft / 'network.pth').rename(tmp_path / 'network.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['network.pth']


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(CannotWrite, match='Free space, or name another output'):
        with draft_folder(tmp_path / 'file' / 'folder'):
            pass
