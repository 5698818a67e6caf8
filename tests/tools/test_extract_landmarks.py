"""The command line that finds landmarks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import warm
from tests.in_process import call_tool

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'extract_landmarks.py'
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONDONTWRITEBYTECODE': '1'}
# Runs the tool; each image takes at least 0.1 s.
SLOW = """
import runpy, sys, time
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
add = LandmarkFiles.add
LandmarkFiles.add = lambda *arguments: (time.sleep(0.1), add(*arguments))[1]
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""
FILES = ('points.csv', 'points_bb.csv', 'skipped_points.csv')


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Thirty pictures of one woman, and three without a face."""
    data = pytest.importorskip('skimage.data', reason='needs fdsr[tests]')
    pytest.importorskip('mediapipe', reason='needs fdsr[landmarks]')
    folder = tmp_path_factory.mktemp('faces')
    for number in range(33):
        path = folder / f'n{number // 4}' / f'{number:02}.png'
        path.parent.mkdir(exist_ok=True)
        picture = data.astronaut()[40 - number // 2:220, 130 - number:330]
        if number % 11 == 5:
            picture = np.zeros_like(picture)
        Image.fromarray(picture).save(path)
    return folder


@pytest.fixture(scope='module')
def whole(source, tmp_path_factory):
    """What one process writes in one run."""
    folder = tmp_path_factory.mktemp('whole')
    done = run(source, folder, '--list', folder / 'list.txt')
    assert done.returncode == 0, done.stderr
    return folder, done


def command(source, folder, *arguments):
    return [str(TOOL), str(source), str(folder / 'points.csv'),
            *map(str, arguments)]


def run(source, folder, *arguments):
    return call_tool(TOOL, source, folder / 'points.csv', *arguments)


def contents(folder):
    return {name: (folder / name).read_text() for name in FILES}


def rows_in(folder):
    path = folder / 'points.csv'
    return path.read_text().count('\n') - 1 if path.exists() else 0


def alive(group):
    """Whether a process of a group is still there, zombies apart."""
    found = subprocess.run(['ps', '-A', '-o', 'pgid=,stat='], text=True,
                           capture_output=True).stdout
    return any(line.split()[0] == str(group) and 'Z' not in line.split()[1]
               for line in found.splitlines())


def all_end(group: int) -> bool:
    """Waits until no process of a group is left, for half a minute."""
    deadline = time.monotonic() + 30
    while alive(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(group)


@pytest.mark.slow
def test_it_says_what_it_wrote(source, whole):
    folder, done = whole
    assert '30 faces of 33 images, 33 of them in this run' in done.stdout
    assert '3 skipped: no face' in done.stdout
    assert str(folder / 'skipped_points.csv') in done.stdout
    assert '33/33' in done.stderr and 'Traceback' not in done.stderr
    listed = (folder / 'list.txt').read_text().splitlines()
    assert len(listed) == 30 == rows_in(folder) and listed[0] == 'n0/00.png'
    again = run(source, folder)
    assert '30 faces of 33 images, 0 of them in this run' in again.stdout


@pytest.mark.slow
def test_ctrl_c_and_more_workers_give_the_same_files(source, whole, tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', SLOW, *command(source, tmp_path, '--num-workers', 2)],
        text=True, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True)
    while rows_in(tmp_path) < 3 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and 'Traceback' not in said
    assert 'run the same command again to resume' in said
    assert all_end(process.pid)
    assert 3 <= rows_in(tmp_path) < 30
    assert run(source, tmp_path).returncode == 0
    assert contents(tmp_path) == contents(whole[0])


@pytest.mark.slow
def test_no_worker_outlives_a_killed_run(source, tmp_path):
    process = subprocess.Popen(
        [sys.executable, *command(source, tmp_path, '--num-workers', 1)],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True)
    while rows_in(tmp_path) < 1 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert all_end(process.pid)


# Runs the tool where no file can grow beyond 1 KiB; torch writes larger ones at first.
LIMITED = """
import resource, runpy, sys
from fdsr.registry import register_all
register_all()
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.slow
def test_a_full_disk_stops_with_a_message(source, whole, tmp_path):
    done = subprocess.run(
        [warm.python(), '-c', LIMITED, *command(source, tmp_path)], text=True,
        capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'points.csv cannot be written' in done.stderr
    assert (tmp_path / 'points.csv').read_bytes().endswith(b'\n')
    assert 5 < rows_in(tmp_path) < 30
    assert run(source, tmp_path).returncode == 0
    assert contents(tmp_path) == contents(whole[0])


@pytest.mark.slow
def test_a_detector_for_photographs(source, tmp_path):
    """A face a tenth as wide as the photograph, by another detector with options."""
    photo = Image.new('RGB', (2000, 1500), (120, 130, 120))
    photo.paste(Image.open(source / 'n0' / '00.png'), (1400, 900))
    (tmp_path / 'photos').mkdir()
    photo.save(tmp_path / 'photos' / 'one.png')
    done = run(tmp_path / 'photos', tmp_path, '--detector',
               'fdsr.MediaPipePhotoLandmarks', '--detector-options', 'halvings=2')
    assert done.returncode == 0 and '1 faces of 1 images' in done.stdout, done.stderr
    name, *points = (tmp_path / 'points.csv').read_text().splitlines()[1].split(',')
    points = np.array(points, float).reshape(5, 2)
    assert name == '"one"'
    assert ((1400, 900) < points).all() and (points < (1600, 1080)).all()
    # another detector may not go on with these files
    again = run(tmp_path / 'photos', tmp_path)
    assert again.returncode == 1 and 'MediaPipePhotoLandmarks' in again.stderr


def test_errors_are_messages(tmp_path):
    done = run(tmp_path / 'nowhere', tmp_path)
    assert done.returncode == 1 and 'nowhere is not a folder' in done.stderr
    assert 'Traceback' not in done.stderr and not list(tmp_path.iterdir())
    Image.new('RGB', (64, 64)).save(tmp_path / 'one.png')
    for options, message in (
            (['halvings'], '--detector-options takes KEY=VALUE'),
            (['halvings=2', '--detector', 'fdsr.MediaPipeLandmarks'],
             "unexpected keyword argument 'halvings'). Pass them as")):
        done = run(tmp_path, tmp_path / 'out', '--detector-options', *options)
        assert done.returncode == 1 and message in done.stderr
        assert 'Traceback' not in done.stderr and not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_weights_that_are_not_there_are_named(source, tmp_path):
    done = run(source, tmp_path, '--num-workers', 1,
               '--detector', 'fdsr.FaceAlignmentLandmarks', '--detector-options',
               'network=net.zip', 'face_finder=finder.pth')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'net.zip: expected the weights 2DFAN4-cd938726ad.zip' in done.stderr
    assert rows_in(tmp_path) == 0
    # or a run that names the right ones would be refused for its other settings
    assert not list(tmp_path.iterdir())


def test_a_list_is_not_written_over_a_csv(tmp_path):
    done = run(tmp_path, tmp_path, '--list', tmp_path / 'points_bb.csv')
    assert done.returncode == 2 and '--list would overwrite' in done.stderr


def test_help_is_quick(tmp_path):
    begin = time.monotonic()
    done = subprocess.run([sys.executable, '-X', 'importtime', str(TOOL), '--help'],
                          text=True, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0 and '--min-eyes' in done.stdout
    assert 'torch' not in done.stderr and 'numpy' not in done.stderr
    assert time.monotonic() - begin < 10
