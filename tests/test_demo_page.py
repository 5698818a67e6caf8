"""The demo page: limits, messages, shared models and files."""

import base64
import importlib
import io
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.landmarks import FaceLandmarks, FoundFace
from fdsr.registry import LANDMARKS
from tests import toy
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / 'demo' / 'app.py'
LR_SIZE = toy.SIZE // toy.SCALE


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp('student')
    toy.train(toy.restorer_config(folder))
    return folder / 'iter_2.pth'


@pytest.fixture(scope='module')
def demo():
    """Imports a module of the folder demo/."""
    sys.path.insert(0, str(SCRIPT.parent))
    yield importlib.import_module
    sys.path.remove(str(SCRIPT.parent))
    for name in [name for name in sys.modules if re.match(r'(app|page)(\.|$)', name)]:
        del sys.modules[name]


@pytest.fixture(scope='module')
def restoring(demo):
    return demo('page.restoring')


@pytest.fixture(scope='module')
def models(restoring, student):
    return restoring.Models([str(student)], 'cpu')


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), 'u1')


def write(path, image):
    Image.fromarray(image).save(path)
    return path


# Refused files and their messages.

FOREIGN = {
    'letter.jpg': (b'%PDF-1.7\n' + b'x' * 100, 'letter.jpg is a PDF'),
    'clip.jpg': (b'\0\0\0\x18ftypisom' + b'x' * 100, 'clip.jpg is a video'),
    'notes.png': (b'To whom it may concern', 'notes.png is not an image'),
    'empty.png': (b'', 'empty.png is an empty file'),
    # Pillow would start an external program for this one
    'drawing.png': (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n'
                    b'%%EndComments\n', 'drawing.png is a PostScript file'),
}


@pytest.mark.parametrize('name', FOREIGN)
def test_other_files_are_refused(restoring, tmp_path, name):
    content, message = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(restoring.Refused, match=message) as caught:
        restoring.check_image(tmp_path / name)
    assert 'JPEG, PNG, WebP' in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_truncated_image_is_refused(restoring, models, tmp_path):
    path = write(tmp_path / 'half.png', noise(LR_SIZE, LR_SIZE))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(restoring.Refused, match=r'^half\.png .*truncated') as caught:
        restoring.restore(models, path, restoring.Options(models.labels[0]))
    assert str(tmp_path) not in str(caught.value)


def test_images_beyond_the_limits_are_refused(restoring, tmp_path, monkeypatch):
    path = write(tmp_path / 'face.png', noise(20, 30))
    monkeypatch.setattr(restoring, 'MOST_PIXELS', 20 * 30)
    monkeypatch.setattr(restoring, 'MOST_BYTES', path.stat().st_size)
    restoring.check_image(path)
    monkeypatch.setattr(restoring, 'MOST_PIXELS', 20 * 30 - 1)
    with pytest.raises(restoring.Refused, match='30×20 pixels'):
        restoring.check_image(path)
    monkeypatch.setattr(restoring, 'MOST_BYTES', path.stat().st_size - 1)
    with pytest.raises(restoring.Refused, match='The limit is .* MB'):
        restoring.check_image(path)
    with pytest.raises(restoring.Refused, match='removed'):
        restoring.check_image(tmp_path / 'gone.png')


@pytest.mark.parametrize('size', [(32767, 64), (40, 33000)])
def test_a_strip_is_refused(restoring, models, tmp_path, size):
    path = write(tmp_path / 'strip.png', np.zeros((*size[::-1], 3), np.uint8))
    options = restoring.Options(models.labels[0], whole=True)
    with pytest.raises(restoring.Refused, match='^strip.png has .*32,766 pixels per s'):
        restoring.restore(models, path, options)


def test_a_result_beyond_the_limit_is_refused(restoring, models, tmp_path, monkeypatch):
    path = write(tmp_path / 'photo.png', noise(20, 30))
    monkeypatch.setattr(restoring, 'MOST_PIXELS', 20 * 30 * 9 - 1)
    with pytest.raises(restoring.Refused, match='30×20 pixels at scale 3 .* smaller'):
        restoring.restore(models, path, restoring.Options(models.labels[0], True, 3))


# Restoration.

def test_a_face_crop_equals_the_networks_output(restoring, models, student, tmp_path):
    options = restoring.Options(models.labels[0])
    for side in (LR_SIZE, 3 * LR_SIZE):
        path = write(tmp_path / 'face.png', noise(side, side))
        outcome = restoring.restore(models, path, options)
        expected = FaceSuperResolver(student, 'cpu')(path)
        assert np.array_equal(outcome.image, expected)
        assert np.array_equal(outcome.source, noise(side, side))
        [face] = outcome.faces
        assert face.status == 'restored' and np.array_equal(face.after, expected)
        assert ('downsampled first' in face.message) == (side > LR_SIZE)
        assert outcome.seconds > 0


def test_an_oblong_face_points_to_the_switch(restoring, models, tmp_path):
    path = write(tmp_path / 'photo.png', noise(20, 30))
    with pytest.raises(restoring.Refused, match='30×20.*“Whole photograph”'):
        restoring.restore(models, path, restoring.Options(models.labels[0]))


@LANDMARKS.register_module(force=True)
class TwoFaces:
    """Finds a face that can be restored, and one without landmarks."""

    def find_faces(self, image):
        points = np.array([[26, 28], [31, 28], [28, 31], [26, 34], [31, 34]], 'f4')
        return [FoundFace((20, 20, 36, 36), FaceLandmarks(points)),
                FoundFace((-5, 40, 8, 70), None)]


def test_a_photograph_reports_every_face(restoring, demo, student, tmp_path,
                                             monkeypatch):
    monkeypatch.setattr('fdsr.apis.super_resolver.default_photo_detector',
                        lambda: dict(type='TwoFaces'))
    models = restoring.Models([str(student)], 'cpu')
    path = write(tmp_path / 'photo.png', noise(60, 80))
    options = restoring.Options(models.labels[0], whole=True, scale=3, large_faces=True)
    outcome = restoring.restore(models, path, options)
    assert outcome.image.shape == (180, 240, 3)
    assert [face.status for face in outcome.faces] == ['restored', 'no landmarks']
    assert outcome.faces[0].after.shape == (toy.SIZE, toy.SIZE, 3)
    report = demo('page.report')
    table = report.faces_table(outcome.faces)
    assert table.count('<tr>') == 3 and table.count('<img') == 3
    assert 'no landmarks' in table and f'to {toy.SIZE}×{toy.SIZE} px' in table
    assert '1 of 2 faces restored' in report.summary_line(outcome)
    assert re.search(r'240 × 180 pixels, \d+\.\d s on the CPU',
                     report.summary_line(outcome))
    small = restoring.restore(
        models, path, restoring.Options(models.labels[0], True, 1))
    assert small.faces[0].status == 'large enough' and small.faces[0].after is None


def shown_in(text):
    return [Image.open(io.BytesIO(base64.b64decode(data)))
            for data in re.findall(r'base64,([^"]+)', text)]


@pytest.mark.parametrize('side, shown', [(64, 64), (2000, 1600)])
def test_before_and_after_lie_on_each_other(demo, side, shown):
    image = np.full((side // 2, side, 3), (200, 40, 40), np.uint8)
    text = demo('page.report').comparison(image[::4, ::4] // 2, image)
    before, after = shown_in(text)
    assert before.size == after.size == (shown, shown // 2)
    assert np.abs(np.asarray(after).astype(int) - image[0, 0]).max() < 4
    assert np.abs(np.asarray(before).astype(int) - image[0, 0] // 2).max() < 4


# One network for all.

def test_a_network_is_opened_once_and_used_by_one_at_a_time(restoring, student,
                                                            monkeypatch):
    opened, inside, most = [], [], []

    class Slow:
        def __init__(self, *arguments):
            time.sleep(0.05)
            opened.append(arguments)

    monkeypatch.setattr(restoring, 'FaceSuperResolver', Slow)
    models = restoring.Models([str(student)], 'cpu')
    assert opened == []
    start = threading.Barrier(6)

    def use(_):
        start.wait()
        with models.borrow(models.labels[0]) as resolver:
            inside.append(resolver)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()
        return resolver

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(use, range(6)))) == 1
    assert opened == [(str(student), 'cpu')] and max(most) == 1


def test_a_network_that_cannot_be_opened_is_tried_again(restoring, student,
                                                        monkeypatch):
    models = restoring.Models([str(student)])
    with monkeypatch.context() as patch:
        patch.setattr(restoring, 'FaceSuperResolver', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), models.borrow(models.labels[0]):
            pass
    with models.borrow(models.labels[0]) as resolver:
        assert resolver.geometry.size == toy.SIZE
    with pytest.raises(restoring.Refused, match='Unknown m'), models.borrow('other'):
        pass


def test_labels_tell_networks_apart(restoring, tmp_path):
    assert restoring.labels_of(['/a/b/last.pth', '/a/c/last.pth', 'compact']) == [
        'b/last.pth', 'c/last.pth', 'compact']
    assert restoring.labels_of(['/a/x.pth', '/a/x.pth']) == ['x.pth']
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        restoring.Models([str(tmp_path / 'nowhere.pth')])


# The command.

def test_help_is_instant():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, SCRIPT, '--help'], text=True,
                          capture_output=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1
    assert done.returncode == 0 and '--weights' in done.stdout


def test_missing_requirements_are_reported(demo, monkeypatch):
    app = demo('app')
    with monkeypatch.context() as patch:
        patch.setattr(app, 'find_spec', lambda name: None)
        with pytest.raises(SystemExit, match=r'pip install "fdsr\[demo\]"'):
            app.main([])
    monkeypatch.setattr('fdsr.weights.shipped.SHIPPED', {})
    with pytest.raises(SystemExit, match='--weights FILE'):
        app.run(app.parse_arguments([]), Path(), None)
    with pytest.raises(SystemExit, match='nowhere.pth'):
        app.run(app.parse_arguments(['--weights', 'nowhere.pth']), Path(), None)


def test_a_port_in_use_is_reported(demo):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f'port {port}.*--port'):
            demo('app').listen('127.0.0.1', port)


def test_old_files_are_removed_and_examples_are_kept(demo, tmp_path):
    old, young, example = (tmp_path / name / 'a.png'
                           for name in ('old', 'young', 'examples'))
    for path in (old, young, example):
        path.parent.mkdir()
        path.touch()
    for path in (old, old.parent, example, example.parent):
        os.utime(path, (1e9, 1e9))
    kept = {example, example.parent}
    demo('app').remove_old(tmp_path, kept, time.time() - 100)
    assert not old.exists() and young.exists() and example.exists()
    os.utime(old.parent, (1e9, 1e9))
    demo('app').remove_old(tmp_path, kept, time.time() - 100)
    assert not old.parent.exists() and young.exists() and example.exists()


def test_the_next_server_deletes_the_uploads_of_a_killed_one(tmp_path):
    code = (f'import os, signal, sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n'
            'from app import private_folder\n'
            'with private_folder() as folder:\n'
            '    (folder / "gradio" / "upload.png").touch()\n'
            '    print(folder.stat().st_mode & 0o777)\n'
            '    if sys.argv[1:]: os.kill(os.getpid(), signal.SIGKILL)\n'
            '    print(len(os.listdir(folder.parent)))')
    environment = {**os.environ, 'TMPDIR': str(tmp_path)}
    killed = subprocess.run([sys.executable, '-c', code, 'kill'], env=environment)
    assert killed.returncode == -9 and len(list(tmp_path.rglob('upload.png'))) == 1
    whole = subprocess.run([sys.executable, '-c', code], env=environment, text=True,
                           capture_output=True)
    assert whole.stdout.split() == [str(0o700), '1'], whole.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text, path', [
    ('', ''), ('/', ''), ('faces', '/faces'), ('/faces', '/faces'),
    ('/faces/', '/faces'), ('a/b/', '/a/b'), ('//faces', '/faces'),
    ('https://host/faces/', 'https://host/faces')])
def test_the_path_behind_a_proxy(demo, text, path):
    assert demo('app').parse_arguments(['--root-path', text]).root_path == path


@pytest.mark.parametrize('text', ['fa ces', 'faces?x', 'faces#x', '"><script>', 'é'])
def test_a_path_that_is_not_one_is_refused(demo, capsys, text):
    with pytest.raises(SystemExit):
        demo('app').parse_arguments(['--root-path', text])
    assert 'expected the path of a page' in capsys.readouterr().err
