"""The command fdsr: invalid inputs and weights, and folders that cannot be written."""

import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from fdsr.cli.inputs import find_jobs
from fdsr.utils.locks import folder_lock
from tests.cli.conftest import LR_SIZE, noise, rows, run, save, write_video
from tests.hostile import Code


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


@pytest.mark.parametrize('size', [(64, 32767), (1, 65000), (33000, 40)])
def test_images_beyond_the_limits_do_not_stop_the_others(student, placed, tmp_path,
                                                         size):
    save(tmp_path / 'in/a.png', np.zeros(size, np.uint8))
    save(tmp_path / 'in/b.png', noise(60, 80, 3))
    assert run(student, tmp_path / 'out', tmp_path / 'in', '--whole-photo') == 1
    first, second = rows(tmp_path / 'out')
    assert first['status'] == 'failed' and '32,766 pixels per side' in first['message']
    assert second['status'] == 'ok'


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
