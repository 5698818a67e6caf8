"""The command fdsr: what it writes, what it reports, and how it ends."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.cli.inputs import find_jobs
from fdsr.cli.restoring import Restorer
from fdsr.landmarks import FaceLandmarks, LandmarkDetector
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.registry import LANDMARKS
from tests import toy
from tests.cli.conftest import LR_SIZE, noise, rows, run, save, write_video
from tests.hostile import display_p3, encoded

ROOT = Path(__file__).parents[2]


def test_faces_of_files_folders_and_patterns(student, tmp_path):
    faces = [noise(LR_SIZE, LR_SIZE, 3, seed=k) for k in range(5)]
    save(tmp_path / 'one.png', faces[0])
    for k in (1, 2):
        save(tmp_path / f'folder/f{k}.png', faces[k])
    for k in (3, 4):
        save(tmp_path / f'many/p{k}.png', faces[k])
    out = tmp_path / 'out'
    code = run(student, out, tmp_path / 'one.png', tmp_path / 'folder',
               tmp_path / 'many/p*.png', '--batch-size', '2')
    assert code == 0
    sr = FaceSuperResolver(student)
    for face, name in zip(faces, ('one', 'f1', 'f2', 'p3', 'p4')):
        written = np.array(Image.open(out / f'{name}.png'))
        assert np.abs(written.astype(int) - sr(face)).max() <= 1
    assert [row['status'] for row in rows(out)] == ['ok'] * 5
    assert not list(out.glob('*.part*'))


def test_a_folder_of_many_kinds(student, tmp_path, capsys):
    folder = tmp_path / 'in'
    for name, kind in (('a.png', 'PNG'), ('noext', 'JPEG'), ('old.gif', 'GIF'),
                       ('web.jfif', 'JPEG'), ('phone.avif', 'AVIF')):
        save(folder / 'x.png', noise(LR_SIZE, LR_SIZE, 3))
        (folder / name).write_bytes(encoded(Image.open(folder / 'x.png'), kind))
    (folder / 'x.png').unlink()
    for hidden in ('._a.png', '.DS_Store'):
        (folder / hidden).write_bytes(b'\0\5\x16\7')
    (folder / 'notes.txt').write_text('words')
    save(folder / 'more/b.png', noise(LR_SIZE, LR_SIZE, 3))
    out = tmp_path / 'out'
    assert run(student, out, folder) == 0
    status = {Path(row['input']).name: row['status'] for row in rows(out)}
    assert status == {**dict.fromkeys(
        ('a.png', 'noext', 'old.gif', 'phone.avif', 'web.jfif'), 'ok'),
        'more': 'skipped', 'notes.txt': 'skipped'}
    shown = capsys.readouterr()
    assert '5 of 5 restored, 2 skipped' in shown.out
    assert f'{folder / "notes.txt"}: skipped: not an image' in shown.err
    assert f'{folder / "more"}: skipped: a subfolder' in shown.err
    assert run(student, out, folder / 'notes.txt', folder / 'a.png') == 1
    assert [row['status'] for row in rows(out)] == ['failed', 'ok']


def test_results_are_srgb_and_say_so(student, tmp_path):
    path = tmp_path / 'p3.png'
    Image.new('RGB', (LR_SIZE, LR_SIZE), (234, 51, 35)).save(
        path, icc_profile=display_p3())
    save(tmp_path / 'srgb.png', np.full((LR_SIZE, LR_SIZE, 3), (255, 0, 0), np.uint8))
    out = tmp_path / 'out'
    assert run(student, out, path, tmp_path / 'srgb.png') == 0
    with Image.open(out / 'p3.png') as one, Image.open(out / 'srgb.png') as other:
        assert one.info['srgb'] == other.info['srgb'] == 0
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 4


def test_patterns_in_a_folder_with_brackets(tmp_path):
    for name in ('1.png', '2.png', '3.jpg'):
        save(tmp_path / 'trip [2020]' / name, noise(4, 4, 3))
    for pattern, count in (('*.png', 2), ('[12].*', 2), ('*', 3)):
        jobs = find_jobs([f'{tmp_path}/trip [2020]/{pattern}'], tmp_path / 'out')
        assert len(jobs) == count


def test_photographs(student, placed, tmp_path):
    photo = save(tmp_path / 'photo.png', noise(60, 80, 3))
    save(tmp_path / 'black.png', np.zeros((60, 80, 3), np.uint8))
    out = tmp_path / 'out'
    code = run(student, out, photo, tmp_path / 'black.png', '--whole-photo',
               '--scale', '3', '--compare')
    assert code == 1
    first, second = rows(out)
    assert (first['status'], first['faces'], first['restored']) == ('ok', '1', '1')
    assert (second['status'], second['output']) == ('no face', '')
    assert not (out / 'black.png').exists()
    written = np.array(Image.open(out / 'photo.png'))
    assert written.shape == (180, 480, 3)
    plain = np.array(Image.open(photo).resize((240, 180), Image.BICUBIC))
    assert np.array_equal(written[:, :240], plain)
    expected = FaceSuperResolver(student).restore_photo(photo, scale=3).image
    assert np.abs(written[:, 240:].astype(int) - expected).max() <= 1


@LANDMARKS.register_module()
class BrightTemplate(LandmarkDetector):
    """An aligned face in each bright image."""

    def detect_faces(self, image):
        if image.mean() < 200:
            return []
        from fdsr.geometry.alignment import five_point_template
        return [FaceLandmarks(five_point_template(len(image), 0.3).astype(np.float32))]


@pytest.fixture
def aligned(monkeypatch):
    monkeypatch.setattr('fdsr.apis.super_resolver.default_detector',
                        lambda: dict(type='BrightTemplate'))


def kinds(out):
    return {Path(row['input']).name: (row['kind'], row['status']) for row in rows(out)}


def test_faces_and_photographs_are_told_apart(student, placed, aligned, tmp_path):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    save(folder / 'a_tiny.png', noise(LR_SIZE, LR_SIZE, 3))
    save(folder / 'b_wide.png', noise(60, 80, 3))
    save(folder / 'c_bright.png', noise(60, 60, 3) // 8 + 220)
    save(folder / 'd_square.png', noise(60, 60, 3))
    save(folder / 'e_black.png', np.zeros((60, 60, 3), np.uint8))
    assert run(student, out, folder, '--scale', '3') == 1
    found = kinds(out)
    assert list(found) == sorted(found)  # in the order of the inputs
    assert found == {'a_tiny.png': ('face', 'ok'), 'b_wide.png': ('photo', 'ok'),
                     'c_bright.png': ('face', 'ok'), 'd_square.png': ('photo', 'ok'),
                     'e_black.png': ('photo', 'no face')}
    assert rows(out)[-1]['message'].endswith('--aligned restores it as one aligned '
                                             'face.')
    for name, size in (('a_tiny', toy.SIZE), ('c_bright', toy.SIZE), ('d_square', 180)):
        assert Image.open(out / f'{name}.png').size == (size, size)
    assert run(student, out, folder, '--aligned') == 1  # one is not square
    assert kinds(out)['b_wide.png'] == ('face', 'failed')
    assert kinds(out)['e_black.png'] == ('face', 'ok')
    assert run(student, out, folder, '--whole-photo') == 1
    assert {kind for kind, _ in kinds(out).values()} == {'photo'}
    with pytest.raises(SystemExit) as error:
        run(student, out, folder, '--whole-photo', '--aligned')
    assert error.value.code == 2


def test_without_a_detector_faces_are_restored(student, tmp_path, monkeypatch):
    def none():
        raise ImportError('No face detector is available.')

    for name in ('default_detector', 'default_photo_detector'):
        monkeypatch.setattr(f'fdsr.apis.super_resolver.{name}', none)
    save(tmp_path / 'in/face.png', noise(60, 60, 3))
    save(tmp_path / 'in/wide.png', noise(60, 80, 3))
    write_video(tmp_path / 'in/clip.mp4', 2, (80, 64))
    out = tmp_path / 'out'
    assert run(student, out, tmp_path / 'in') == 1
    assert kinds(out) == {'clip.mp4': ('photo', 'failed'), 'face.png': ('face', 'ok'),
                          'wide.png': ('photo', 'failed')}
    assert '--aligned' in rows(out)[0]['message']
    # if every input needs one, the run ends
    with pytest.raises(SystemExit, match='No face detector.*--aligned'):
        run(student, out, tmp_path / 'in', '--whole-photo')


def test_the_strength(student, placed, tmp_path, capsys):
    save(tmp_path / 'in/face.png', noise(LR_SIZE, LR_SIZE, 3))
    photo = save(tmp_path / 'in/photo.png', noise(60, 80, 3))
    out = tmp_path / 'out'
    assert run(student, out, tmp_path / 'in', '--strength', '0') == 0
    for name, size in (('face', (toy.SIZE, toy.SIZE)), ('photo', (160, 120))):
        plain = Image.open(tmp_path / f'in/{name}.png').resize(size, Image.BICUBIC)
        assert np.array_equal(np.array(Image.open(out / f'{name}.png')), plain)
    assert run(student, out, photo, '--strength', '0.5') == 0
    expected = FaceSuperResolver(student).restore(photo, strength=0.5).image
    written = np.array(Image.open(out / 'photo.png')).astype(int)
    assert np.abs(written - expected).max() <= 1
    for strength in ('1.5', '-1', 'nan'):
        with pytest.raises(SystemExit):
            run(student, out, photo, '--strength', strength)
        assert '--strength' in capsys.readouterr().err


def read_video(path):
    reader, frames = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        frames.append(read[1])
    return reader.get(cv2.CAP_PROP_FPS), frames


def test_videos_keep_their_frames_and_rate(student, placed, tmp_path):
    write_video(tmp_path / 'clip.mp4', 7, (64, 48))
    out = tmp_path / 'out'
    assert run(student, out, tmp_path / 'clip.mp4', '--whole-photo') == 0
    source, result = (read_video(folder / 'clip.mp4') for folder in (tmp_path, out))
    assert result[0] == source[0] == 12
    assert len(result[1]) == 7 and result[1][0].shape == (96, 128, 3)
    # each frame in its turn; two lossy codings move a level by a few
    levels = [[float(frame[:5].mean()) for frame in clip[1]]
              for clip in (source, result)]
    assert np.allclose(*levels, atol=4) and (np.diff(levels[1]) > 7).all()
    row, = rows(out)
    assert (row['faces'], row['restored']) == ('7', '7')
    assert '7 of 7 frames' in row['message']
    assert not list(out.glob('*.part*'))


def test_the_first_frame_decides_for_a_video(student, placed, aligned, tmp_path):
    write_video(tmp_path / 'a_dark.mp4', 3, (64, 64))
    writer = cv2.VideoWriter(str(tmp_path / 'b_bright.mp4'),
                             cv2.VideoWriter_fourcc(*'mp4v'), 12, (64, 64))
    for level in (230, 60, 230):
        writer.write(np.full((64, 64, 3), level, np.uint8))
    writer.release()
    out = tmp_path / 'out'
    assert run(student, out, tmp_path) == 0
    assert kinds(out) == {'a_dark.mp4': ('photo', 'ok'), 'b_bright.mp4': ('face', 'ok')}
    sizes = [read_video(out / f'{name}.mp4')[1][0].shape[0]
             for name in ('a_dark', 'b_bright')]
    assert sizes == [128, toy.SIZE]


def test_a_teacher_tells_where_it_found_no_landmarks(tmp_path):
    @LANDMARKS.register_module(force=True)
    class Blind:
        def detect(self, images):
            return [None] * len(images)

    teacher = FaceSuperResolver(toy.trained_teacher(tmp_path / 'teacher'),
                                landmarks=dict(type='fdsr.Blind'))
    save(tmp_path / 'in/face.png', noise(LR_SIZE, LR_SIZE, 3))
    write_video(tmp_path / 'in/clip.mp4', 3, (64, 64))
    (tmp_path / 'out').mkdir()
    jobs = find_jobs([str(tmp_path / 'in')], tmp_path / 'out')
    for result in Restorer(teacher, 'face').restore(jobs):
        assert result.status == 'ok' and 'No landmarks were found' in result.message
        assert ('In 3 of them' in result.message) == result.input.endswith('clip.mp4')


def test_a_large_face_points_to_the_option(student, placed, tmp_path, monkeypatch):
    photo = save(tmp_path / 'photo.png', noise(60, 80, 3))
    monkeypatch.setattr('fdsr.apis.photo.LARGEST_FACE', 0.5)
    assert run(student, tmp_path / 'out', photo, '--whole-photo') == 1
    assert '--large-faces' in rows(tmp_path / 'out')[0]['message']
    assert run(student, tmp_path / 'out', photo, '--whole-photo', '--large-faces') == 0


@pytest.mark.slow
def test_help_is_instant_and_the_tool_is_the_command(student, tmp_path):
    code = ('import sys; from fdsr.cli.infer import parse_arguments\n'
            'try: parse_arguments(["--help"])\n'
            'except SystemExit: pass\n'
            'assert not {"torch", "numpy", "mmengine"} & set(sys.modules)')
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           cwd=ROOT)
    assert shown.returncode == 0, shown.stderr
    assert '--whole-photo' in shown.stdout
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    done = subprocess.run(
        [sys.executable, 'tools/infer.py', str(face), '--weights', str(student),
         '--out', str(tmp_path / 'out')], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out/face.png').is_file()
    assert read_checkpoint(student)[0]['default'] == 'generator'
