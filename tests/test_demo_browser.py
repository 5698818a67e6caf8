"""The served demo page: in a browser, under attack, and at shutdown."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver
from tests import toy, warm
from tests.test_demo_page import FOREIGN, LR_SIZE, SCRIPT, noise, shown_in, write

CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp('student')
    toy.train(toy.restorer_config(folder))
    return folder / 'iter_2.pth'


# The server, without a browser.

@contextlib.contextmanager
def running(student, temporary, python=None):
    """A server of the page, and its address; None serves the bundled weights."""
    weights = [] if student is None else ['--weights', student]
    pytest.importorskip('gradio')
    with open(temporary.with_suffix('.log'), 'w+') as log, subprocess.Popen(
            [python or warm.python(), SCRIPT, *weights, '--port', '0', '--device',
             'cpu'], text=True, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, 'TMPDIR': str(temporary)}) as process:
        try:
            line = process.stdout.readline()
            log.seek(0)
            assert 'The page is at' in line, log.read()
            yield process, re.search(r'http://[\d.:]+', line)[0]
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


@pytest.fixture(scope='module')
def server(student, tmp_path_factory):
    folder = tmp_path_factory.mktemp('server')
    with running(student, folder, sys.executable) as (_, address):
        yield address


@pytest.fixture(scope='module')
def http():
    return pytest.importorskip('httpx').Client(timeout=60, trust_env=False)


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(server, http):
    answer = http.get(server)
    tags = re.findall(r'<(?:link|script|img|iframe)\b[^>]*>', answer.text)
    assert len(tags) > 5 and not [tag for tag in tags if '://' in tag]
    assert "default-src 'self'" in answer.headers['content-security-policy']
    assert 'fonts.googleapis' not in http.get(f'{server}/theme.css').text


def upload(server, http, name, content):
    return http.post(f'{server}/gradio_api/upload', files={'files': (name, content)})


def call(server, http, event, file):
    """Triggers an event of the page with a file; returns the answer."""
    config = http.get(f'{server}/config').json()
    [number] = [function['id'] for function in config['dependencies']
                if function['targets'][0][1] == event]
    answer = http.post(f'{server}/gradio_api/run/predict', json=dict(
        data=[file], fn_index=number, session_hash='test'))
    return answer.json()['data'] if answer.status_code == 200 else 'refused'


@pytest.mark.slow
@pytest.mark.parametrize('meta', [{}, dict(meta=dict(_type='gradio.FileData'))])
def test_only_uploads_are_read(server, http, tmp_path, meta):
    """Visitors cannot name other files on the server or elsewhere."""
    path = write(tmp_path / 'a.png', noise(8, 8))
    [kept] = upload(server, http, 'a.png', path.read_bytes()).json()
    for _ in range(2):  # the second time, Gradio has a component of the session
        # the image stays unchanged
        assert call(server, http, 'upload', dict(path=kept, **meta)) == [
            dict(__type__='update'), '']
        for foreign in (str(path), f'{kept}/../../../../a.png',
                        f'{server}/gradio_api/file={kept}'):
            file = dict(path=foreign, url=foreign, **meta)
            image, notice = call(server, http, 'upload', file)
            assert image is None and 'not uploaded by you' in notice
    assert http.get(f'{server}/gradio_api/file={path}').status_code == 403
    assert http.get(f'{server}/gradio_api/file={kept}').status_code == 200


@pytest.mark.slow
def test_gradio_itself_reads_no_other_files(server, http, tmp_path):
    """It copies any file named in a request, unless it knows that it has launched."""
    file = dict(path=str(write(tmp_path / 'a.png', noise(8, 8))),
                meta=dict(_type='gradio.FileData'))
    assert call(server, http, 'change', 'photo') != 'refused'
    assert call(server, http, 'change', file) == 'refused'


@pytest.mark.slow
def test_too_large_an_upload_is_cut_short(server, http):
    assert upload(server, http, 'a.png', b'0' * 20_000_001).status_code == 413


@pytest.mark.slow
@pytest.mark.parametrize('number, code', [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_nothing_is_left_behind(student, http, tmp_path, number, code):
    temporary = tmp_path / 'tmp'
    temporary.mkdir()
    with running(student, temporary) as (process, address):
        [path] = upload(address, http, 'secret.png', b'0' * 1000).json()
        [folder] = temporary.iterdir()
        assert folder in Path(path).parents and folder.stat().st_mode & 0o077 == 0
        # an open page keeps a connection, which must not delay the shutdown
        with http.stream('GET', f'{address}/gradio_api/heartbeat/test'):
            process.send_signal(number)
            assert process.wait(60) == code
    assert list(temporary.iterdir()) == []
    log = temporary.with_suffix('.log').read_text()
    assert 'Traceback' not in log and 'ERROR' not in log


# The page in a browser.

@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api')
    if CHROMIUM is None:
        pytest.skip('no chromium, chromium-browser or google-chrome on this machine')
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox', '--disable-dev-shm-usage'])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, server):
    """Opens the page; afterwards, all requests must have gone to its own server."""
    contexts, hosts = [], set()

    def open_page():
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on('request', lambda request: hosts.add(request.url.partition('://')[2]
                                                     .partition('/')[0]))
        page.goto(server)
        page.wait_for_selector('#source input[type=file]', state='attached')
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert hosts <= {'', server[7:]}


def choose(page, path):
    page.locator('#source input[type=file]').set_input_files(path)


def press(page):
    page.get_by_role('button', name='Restore', exact=True).click()


def chosen(page, path):
    choose(page, path)
    page.wait_for_selector('#source img')


def result(page, folder):
    """The downloaded result."""
    page.wait_for_selector('#faces .status, #summary strong')
    with page.expect_download() as download:
        page.locator('#download').click()
    download.value.save_as(folder / download.value.suggested_filename)
    return np.asarray(Image.open(folder / download.value.suggested_filename))


@pytest.mark.slow
def test_a_face_is_restored_in_the_browser(visit, student, tmp_path):
    page = visit()
    face = write(tmp_path / 'my face.png', noise(LR_SIZE, LR_SIZE))
    chosen(page, face)
    press(page)
    sr = result(page, tmp_path)
    assert (tmp_path / 'my face_restored.png').is_file()
    assert np.array_equal(sr, FaceSuperResolver(student, 'cpu')(face))
    before, after = shown_in(page.locator('#result').inner_html())
    assert before.size == after.size == (toy.SIZE, toy.SIZE)
    assert np.abs(np.asarray(after).astype(int) - sr).mean() < 8
    assert np.abs(np.asarray(before).astype(int) - sr).mean() > 12
    assert 's on the CPU' in page.locator('#summary').inner_text()
    edges = []
    for key in ('Home', 'End'):
        page.locator('#result input').press(key)
        edges.append(page.locator('#result .after').evaluate(
            'image => getComputedStyle(image).clipPath'))
    assert edges == ['inset(0px 0px 0px 0%)', 'inset(0px 0px 0px 100%)']
    chosen(page, write(tmp_path / 'other.png', noise(LR_SIZE, LR_SIZE, 1)))
    shown = page.locator('#result .after').get_attribute('src')
    press(page)
    page.wait_for_function('old => !document.querySelector("#result .after") || '
                           'document.querySelector("#result .after").src != old',
                           arg=shown)
    assert not np.array_equal(result(page, tmp_path), sr)


@pytest.mark.slow
def test_the_switches_for_photographs(visit, tmp_path):
    pytest.importorskip('mediapipe')
    pytest.importorskip('skimage')
    page = visit()
    chosen(page, write(tmp_path / 'wide.png', noise(20, 30)))
    scale = page.get_by_label('number input for Output scale')
    page.get_by_label('Face crop').check()
    scale.wait_for(state='hidden')
    press(page)
    page.get_by_text('Select “Automatic” or “Whole photograph”').wait_for()
    page.get_by_label('Automatic').check()
    scale.fill('3')
    scale.press('Tab')
    press(page)
    assert result(page, tmp_path).shape == (60, 90, 3)
    assert 'No face was found' in page.locator('#summary').inner_text()
    assert 'Whole photograph (automatic)' in page.locator('#summary').inner_text()
    page.locator('#examples button.gallery-item').nth(4).click()
    page.wait_for_function("document.querySelector('#source img').src"
                           ".includes('small_photograph')")
    press(page)
    page.locator('#faces .status').get_by_text('large enough').wait_for()
    page.get_by_label('Large faces too').check()
    press(page)
    page.locator('#faces .status').get_by_text('restored').wait_for()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['letter.jpg', 'notes.png'])
def test_a_wrong_file_is_refused_in_the_browser(visit, tmp_path, name):
    page = visit()
    (tmp_path / name).write_bytes(FOREIGN[name][0])
    choose(page, tmp_path / name)
    page.get_by_role('alert').get_by_text(FOREIGN[name][1]).wait_for()
    page.wait_for_selector('#source img', state='detached')
    chosen(page, write(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE)))
    page.wait_for_selector('#notice p', state='detached')


@pytest.mark.slow
def test_two_visitors_at_once_get_their_own(visit, student, tmp_path):
    faces, pages = [], []
    for seed in range(2):
        (tmp_path / str(seed)).mkdir()
        faces.append(write(tmp_path / f'{seed}.png', noise(LR_SIZE, LR_SIZE, seed)))
        pages.append(visit())
        chosen(pages[-1], faces[-1])
    for page in pages:
        press(page)
    sr = FaceSuperResolver(student, 'cpu')
    for seed, page in enumerate(pages):
        assert np.array_equal(result(page, tmp_path / str(seed)), sr(faces[seed]))


@pytest.mark.slow
def test_the_weights_that_come_along_restore_a_face(browser, tmp_path):
    (tmp_path / 'tmp').mkdir()
    with running(None, tmp_path / 'tmp') as (_, address):
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector('#source input[type=file]', state='attached')
        face = write(tmp_path / 'face.png', noise(32, 32))
        chosen(page, face)
        press(page)
        assert np.array_equal(result(page, tmp_path), FaceSuperResolver(device='cpu')(
            face))
        page.close()
