"""The command line that prepares faces."""
import os
import signal
import subprocess
import time

import pytest

from fdsr.datasets import FaceManifestDataset
from tests import warm
from tests.conftest import REPOSITORY
from tests.in_process import call_tool
from tests.preparation.faces.conftest import people, tree  # noqa: F401  fixtures

TOOL = REPOSITORY / 'tools' / 'prepare_faces.py'


def call(*arguments):
    return call_tool(TOOL, *arguments)


@pytest.fixture
def source(people):  # noqa: F811
    return ['--data-root', people.root, '--landmarks', people.csv, '--size', '32']


@pytest.mark.slow
def test_it_prepares_and_says_what(source, tmp_path):
    out = tmp_path / 'out'
    done = call(*source, '--out', out, '--val-identities', '0.25', '--workers', '2',
                '--storage', 'lmdb', '--encoding', 'raw', '--duplicates', '2')
    assert done.returncode == 0, done.stderr
    assert 'train: 9 faces of 9 images (none skipped)' in done.stdout
    assert '12/12' in done.stderr
    assert len(FaceManifestDataset(out, 'val')) == 3


@pytest.mark.slow
def test_errors_are_a_sentence(source, tmp_path):
    done = call(*source, '--out', tmp_path / 'out', '--encoding', 'raw')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'encoding=raw requires storage=lmdb' in done.stderr
    assert 'neither a share' in call(
        *source, '--out', tmp_path, '--val-identities', '1.5').stderr
    assert '--workers: -1 is less than 0' in call(
        *source, '--out', tmp_path, '--workers', '-1').stderr


@pytest.mark.slow
@pytest.mark.parametrize('workers', ['0', '2'])
def test_ctrl_c_tells_how_to_go_on(source, people, tmp_path, workers):  # noqa: F811
    for number in range(300):
        people.add(f'e/{number}.jpg')
    out = tmp_path / 'out'
    # in the background a process may begin with Ctrl-C ignored, and its children too
    running = subprocess.Popen(
        [warm.python(), str(TOOL), *map(str, source), '--out', str(out), '--workers',
         workers, '--shard-size', '2'], text=True, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler))
    units = out / '.work' / 'units'
    while running.poll() is None and not (
            units.is_dir() and len(list(units.glob('*.npy'))) >= 2):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert 'run the same command again' in said and 'Traceback' not in said
    done = call(*source, '--out', out, '--shard-size', '2', '--workers', '0')
    assert '312 faces of 312' in done.stdout
