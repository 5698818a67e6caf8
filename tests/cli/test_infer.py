"""The command fdsr: what it writes, what it reports, and how it ends."""

import csv
import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.cli.infer import main
from fdsr.cli.inputs import find_jobs
from fdsr.cli.restoring import Restorer
from fdsr.landmarks import FaceLandmarks, LandmarkDetector
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.registry import LANDMARKS
from fdsr.utils.locks import folder_lock
from tests import toy
from tests.hostile import Code, display_p3, encoded

ROOT = Path(__file__).parents[2]
LR_SIZE = toy.SIZE // toy.SCALE


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp('student')
    toy.train(toy.restorer_config(folder, train_cfg__max_iters=3))
    return folder / 'iter_3.pth'


@LANDMARKS.register_module()
class BrightFaces(LandmarkDetector):
    """A face in the middle of each image that is not black."""

    def detect_faces(self, image):
        if image.mean() < 10:
            return []
        from fdsr.geometry.alignment import five_point_template
        side = LR_SIZE * 1.2
        centre = (np.array(image.shape[1::-1]) - 1) / 2
        points = five_point_template(side, 0.3) - (side - 1) / 2 + centre
        return [FaceLandmarks(points.astype(np.float32))]


@pytest.fixture
def placed(monkeypatch):
    monkeypatch.setattr('fdsr.apis.super_resolver.default_photo_detector',
                        lambda: dict(type='BrightFaces'))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(60, 256, shape, 'u1')


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def rows(out):
    with (out / 'results.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def run(student, out, *arguments):
    return main([*map(str, arguments), '--weights', str(student), '--out', str(out)])


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


def test_bad_inputs_are_reported_and_do_not_stop_the_others(student, tmp_path, capsys):
    bad = tmp_path / 'in'
    save(bad / 'a.png', noise(LR_SIZE, LR_SIZE, 3))
    (bad / 'b.jpg').write_bytes(b'%PDF-1.4 not an image')
    (bad / 'c.png').write_bytes(b'')
    save(bad / 'd.png', noise(20, 30, 3))
    whole = save(bad / 'e.png', noise(LR_SIZE, LR_SIZE, 3)).read_bytes()
    (bad / 'f.png').write_bytes(whole[:len(whole) // 2])
    out = tmp_path / 'out'
    assert run(student, out, bad, '--aligned') == 1
    status = {Path(row['input']).name: row['status'] for row in rows(out)}
    assert status == {'a.png': 'ok', 'b.jpg': 'failed', 'c.png': 'failed',
                      'd.png': 'failed', 'e.png': 'ok', 'f.png': 'failed'}
    assert sorted(path.name for path in out.iterdir()) == [
        'a.png', 'e.png', 'results.csv']
    shown = capsys.readouterr()
    assert '2 of 6 restored' in shown.out
    assert 'b.jpg' in shown.err and '--whole-photo' in shown.err
    assert f'{bad / "d.png"}: failed: ' in shown.err  # the text itself names no file


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


@pytest.mark.parametrize('size', [(64, 32767), (1, 65000), (33000, 40)])
def test_images_beyond_the_limits_do_not_stop_the_others(student, placed, tmp_path,
                                                         size):
    save(tmp_path / 'in/a.png', np.zeros(size, np.uint8))
    save(tmp_path / 'in/b.png', noise(60, 80, 3))
    assert run(student, tmp_path / 'out', tmp_path / 'in', '--whole-photo') == 1
    first, second = rows(tmp_path / 'out')
    assert first['status'] == 'failed' and '32,766 pixels per side' in first['message']
    assert second['status'] == 'ok'


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


def write_video(path, frames, size):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 12, size)
    for number in range(frames):
        frame = np.full((size[1], size[0], 3), 40 + 10 * number, np.uint8)
        writer.write(frame)
    writer.release()


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


def test_videos_that_are_none(student, placed, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video at all')
    write_video(tmp_path / 'wide.mp4', 2, (64, 48))
    out = tmp_path / 'out'
    assert run(student, out, tmp_path / 'text.mp4') == 1
    assert 'cannot be read as a video' in rows(out)[0]['message']
    # no square frames
    assert run(student, out, tmp_path / 'wide.mp4', '--aligned') == 1
    assert 'square' in rows(out)[0]['message']
    assert [path.name for path in out.iterdir()] == ['results.csv']


def test_a_folder_that_another_run_writes_to(student, tmp_path):
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    out = tmp_path / 'out'
    assert run(student, out, face) == 0
    before = rows(out)
    with folder_lock(out):
        with pytest.raises(SystemExit, match='out is in use by another run. Wait'):
            run(student, out, face)
    assert rows(out) == before
    assert run(student, out, face) == 0


def test_temporary_files_of_a_killed_run_are_removed(student, tmp_path):
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    out = tmp_path / 'out'
    out.mkdir()
    for _ in range(2):  # also if this process has written to the folder before
        (out / 'other.png.part-fdsr-0123abcd.png').touch()
        assert run(student, out, face) == 0
        assert sorted(os.listdir(out)) == ['face.png', 'results.csv']


def test_a_video_too_large_for_its_format_does_not_stop_the_others(
        student, placed, tmp_path):
    write_video(tmp_path / 'a.mp4', 2, (1040, 16))
    write_video(tmp_path / 'b.mp4', 2, (64, 48))
    out = tmp_path / 'out'
    assert run(student, out, tmp_path / 'a.mp4', tmp_path / 'b.mp4', '--whole-photo',
               '--scale', '8') == 1
    first, second = rows(out)
    assert first['status'] == 'failed' and '8320x128' in first['message']
    assert second['status'] == 'ok'


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


def test_a_wrong_command_leaves_earlier_results(student, tmp_path):
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    out = tmp_path / 'out'
    assert run(student, out, face) == 0
    with pytest.raises(SystemExit, match='no checkpoint'):
        run(tmp_path / 'absent.pth', out, face)
    with pytest.raises(SystemExit) as error:
        run(student, out, face, '--batch-size', '0')
    assert error.value.code == 2
    assert [row['status'] for row in rows(out)] == ['ok']


def test_names_that_would_collide(tmp_path):
    first = save(tmp_path / 'a/face.png', noise(4, 4, 3))
    second = save(tmp_path / 'b/face.jpg', noise(4, 4, 3))
    jobs = find_jobs([str(first), str(second), str(first)], tmp_path / 'out')
    assert [job.target.name for job in jobs] == ['face.png', 'face_2.png']
    with pytest.raises(ValueError, match='would overwrite'):
        find_jobs([str(first)], tmp_path / 'a')
    with pytest.raises(FileNotFoundError, match='matches no file or folder'):
        find_jobs([str(tmp_path / 'c*.png')], tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no image or video'):
        find_jobs([str(tmp_path / 'empty')], tmp_path / 'out')


def test_a_folder_that_cannot_be_made(student, tmp_path):
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    with pytest.raises(SystemExit, match='cannot be written'):
        run(student, face / 'out', face)
    # nobody may make a folder there, not even the superuser
    if Path('/proc/self').exists():
        with pytest.raises(SystemExit, match='cannot be written'):
            run(student, Path('/proc/results'), face)


def test_no_space_left_stops_and_leaves_nothing_half_written(
        student, tmp_path, monkeypatch):
    for k in range(3):
        save(tmp_path / f'in/{k}.png', noise(LR_SIZE, LR_SIZE, 3, seed=k))
    written, real = [], os.replace

    def full(source, target):
        if written:
            raise OSError(errno.ENOSPC, 'No space left on device')
        written.append(target)
        real(source, target)
    monkeypatch.setattr('fdsr.utils.files.os.replace', full)
    out = tmp_path / 'out'
    with pytest.raises(SystemExit, match='No space left.*Free space'):
        run(student, out, tmp_path / 'in', '--batch-size', '1')
    assert sorted(path.name for path in out.iterdir()) == ['0.png', 'results.csv']
    assert [row['status'] for row in rows(out)] == ['ok']



def test_weights_that_are_none(student, tmp_path):
    face = save(tmp_path / 'face.png', noise(LR_SIZE, LR_SIZE, 3))
    wrong = tmp_path / 'wrong.pth'
    wrong.write_bytes(pickle.dumps(Code(tmp_path / 'trace')))
    with pytest.raises(SystemExit):
        run(wrong, tmp_path / 'out', face)
    assert not (tmp_path / 'trace').exists()
    with pytest.raises(SystemExit, match='no checkpoint'):
        run(tmp_path / 'absent.pth', tmp_path / 'out', face)
    # a bare state dict, and a file whose values are of another network than it says
    content = torch.load(student, weights_only=True)
    torch.save(content['state_dict'], wrong)
    with pytest.raises(SystemExit, match='not a self-describing file'):
        run(wrong, tmp_path / 'out', face)
    content['meta']['fdsr']['backbones']['generator'] = dict(
        type='fdsr.RCAN', channels=4, groups=1, blocks=1, reduction=2)
    torch.save(content, wrong)
    with pytest.raises(SystemExit, match='does not match the network'):
        run(wrong, tmp_path / 'out', face)


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
