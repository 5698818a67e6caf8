"""Preparation: what comes out, interruptions, full disks, splits and filters."""
import csv
import errno
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from fdsr.datasets import FaceManifestDataset, VGGFace2Dataset
from fdsr.datasets.image_storage import FolderImages
from fdsr.preparation.executor import Executor
from fdsr.preparation.faces import finish, prepare, units
from fdsr.preparation.faces.settings import Settings
from tests.conftest import REPOSITORY
from tests.in_process import call_tool
from tests.preparation.faces.conftest import files_of
from tests.tools.test_extract_landmarks import alive


def skipped_of(out):
    with (out / 'skipped.csv').open(newline='', encoding='utf-8') as file:
        return {row['name']: row for row in csv.DictReader(file)}


def names_of(out, split):
    faces = FaceManifestDataset(out, split)
    return [faces.sample_name(index) for index in range(len(faces))]


@pytest.mark.parametrize('storage, encoding', [
    ('folder', 'png'), ('lmdb', 'png'), ('lmdb', 'raw')])
@pytest.mark.parametrize('align', ['five_point', 'box'])
def test_faces_are_those_of_the_layout(toy_root, prepared, tmp_path,  # noqa: F811
                                       storage, encoding, align):
    toy = toy_root()
    settings = Settings(str(toy.root), size=48, align=align, eye_share=0.3,
                        storage=storage, encoding=encoding, shard_size=6)
    prepared(settings)
    expected = VGGFace2Dataset(
        toy.root, size=48, align=None if align == 'box' else align, eye_share=0.3)
    found = FaceManifestDataset(tmp_path / 'out')
    assert len(found) == len(expected) == 20
    for one, other in zip((found[i] for i in range(20)), expected):
        assert one['name'] == other['name']
        assert np.array_equal(one['img'], other['img'])
        assert np.allclose(one['landmarks'], other['landmarks'], atol=1e-4)
    assert found.eye_share == pytest.approx(expected.mean_eye_share(), abs=1e-3)
    assert found.protocol()['up_sampled'] == expected.protocol()['up_sampled']
    assert found.protocol()['padded'] == expected.protocol()['padded']['crops']


def test_jpeg_is_close_and_smaller(people, prepared, tmp_path):
    prepared(people.settings(encoding='png'), 'png')
    prepared(people.settings(quality=90), 'jpeg')
    exact, lossy = (FaceManifestDataset(tmp_path / out)[0]['img'].astype(int)
                    for out in ('png', 'jpeg'))
    assert 0 < np.abs(exact - lossy).mean() < 6


def test_splits_are_apart_by_identity(people, prepared, tmp_path):
    summary = prepared(people.settings(val_identities=1, test_identities=0.25))
    parts = {split: {name[0] for name in names_of(tmp_path / 'out', split)}
             for split in ('train', 'val', 'test')}
    assert [len(parts[split]) for split in ('train', 'val', 'test')] == [2, 1, 1]
    assert set.union(*parts.values()) == set('abcd')
    assert {split: found['kept'] for split, found in summary['splits'].items()} == \
        dict(train=6, val=3, test=3)
    other = people.settings(val_identities=1, test_identities=1, seed=3)
    prepared(other, 'other')
    assert names_of(tmp_path / 'other', 'test') != names_of(tmp_path / 'out', 'test')


def test_a_flat_folder_has_a_person_on_each_picture(tree, prepared, tmp_path):
    for number in range(8):
        tree.add(f'{number}.png')
    prepared(tree.settings(val_identities=3))
    assert len(names_of(tmp_path / 'out', 'val')) == 3
    assert len(names_of(tmp_path / 'out', 'train')) == 5


def test_nobody_left_to_train_on_is_an_error(people, prepared):
    with pytest.raises(ValueError, match='leave none of the 4'):
        prepared(people.settings(val_identities=2, test_identities=2))


@pytest.mark.parametrize('storage', ['folder', 'lmdb'])
def test_the_number_of_processes_does_not_matter(people, prepared, tmp_path, storage):
    settings = people.settings(val_identities=1, storage=storage, duplicates=3)
    prepared(settings, 'alone')
    seen = []
    prepared(settings, 'many', executor=Executor(2),
             progress=lambda *now: seen.append(now))
    assert seen[0] == (0, 12) and seen[-1] == (12, 12)
    assert sorted(seen) == seen
    assert files_of(tmp_path / 'alone') == files_of(tmp_path / 'many')


def interrupted_at(monkeypatch, count, error):
    """Let the count-th write of any kind fail."""
    left = [count]

    def failing(write):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise error
            return write(*args, **kwargs)
        return call

    monkeypatch.setattr(FolderImages, 'write', failing(FolderImages.write))
    for module in (units, finish):
        monkeypatch.setattr(module, 'write_bytes', failing(module.write_bytes))
    monkeypatch.setattr(finish, 'write_manifest', failing(finish.write_manifest))
    monkeypatch.setattr(finish, 'write_sheet', failing(finish.write_sheet))
    return left


def test_interrupted_anywhere_it_ends_with_the_same(people, prepared, tmp_path,
                                                    monkeypatch):
    people.add('d/copy.jpg', Image.open(people.root / 'a' / '0.jpg'))
    settings = people.settings(val_identities=1, duplicates=3)
    prepared(settings, 'whole')
    expected = files_of(tmp_path / 'whole')
    assert skipped_of(tmp_path / 'whole').keys() & {'d/copy', 'a/0'}
    for count in range(1, 100):
        with monkeypatch.context() as patch:
            left = interrupted_at(patch, count, KeyboardInterrupt())
            try:
                prepared(settings, 'parts')
            except KeyboardInterrupt:
                assert not (tmp_path / 'parts' / 'prepared.json').exists()
            if left[0] > 0:
                break
        prepared(settings, 'parts')
        assert files_of(tmp_path / 'parts') == expected, count
        shutil.rmtree(tmp_path / 'parts')
    assert count > 20, 'too few places were tried'


def test_a_full_disk_tells_how_to_go_on(people, prepared, tmp_path, monkeypatch):
    settings = people.settings()
    full = OSError(errno.ENOSPC, 'No space left on device')
    with monkeypatch.context() as patch:
        interrupted_at(patch, 9, full)
        with pytest.raises(prepare.Stopped, match='No space left.*same command again'):
            prepared(settings)
    work = tmp_path / 'out' / '.work'
    assert not list(work.glob('*.part')) and len(list(work.glob('units/*.npy'))) == 1
    written = []
    monkeypatch.setattr(prepare, 'write_unit', lambda job, unit: (
        written.append(unit.number), units.write_unit(job, unit))[0])
    prepared(settings)
    assert written == [1, 2], 'a finished shard was made again'


def test_a_full_disk_under_lmdb(people, prepared, monkeypatch):
    monkeypatch.setattr(units, '_writer', lambda settings, folder, faces:
                        units.LmdbWriter(folder, room=16384))
    with pytest.raises(prepare.Stopped, match='MAP_FULL'):
        prepared(people.settings(storage='lmdb', encoding='raw'))


def test_what_is_done_is_not_done_again(people, prepared, tmp_path, monkeypatch):
    first = prepared(people.settings())
    before = files_of(tmp_path / 'out')
    monkeypatch.setattr(prepare, '_run', None)
    assert prepared(people.settings()) == json.loads(json.dumps(first))
    assert files_of(tmp_path / 'out') == before


def test_other_settings_and_strange_folders_are_refused(people, prepared, tmp_path):
    prepared(people.settings())
    with pytest.raises(ValueError, match='size was 32, is 48'):
        prepared(people.settings(size=48))
    people.add('e/0.jpg')
    with pytest.raises(ValueError, match='files was'):
        prepared(people.settings())
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'letter.txt').touch()
    with pytest.raises(ValueError, match='is neither empty'):
        prepared(people.settings(), 'full')
    with pytest.raises(ValueError, match='letter.txt is a file'):
        prepared(people.settings(), 'full/letter.txt')


def test_two_runs_at_once_are_refused(people, prepared, tmp_path):
    settings = people.settings()
    assert prepare._begin(tmp_path / 'out', settings.request()) is None
    with prepare._locked(tmp_path / 'out' / '.work'):
        with pytest.raises(prepare.Stopped, match='Another run'):
            prepared(settings)


def test_duplicates_are_left_out_and_named(people, prepared, tmp_path):
    with Image.open(people.root / 'a' / '0.jpg') as image:
        people.add('b/again.jpg', image.resize((120, 150)), corner=(0, 0), row=','.join(
            f'{float(value) * .75:.2f}' for value in people.points['a/0'].split(',')))
    summary = prepared(people.settings(duplicates=4))
    assert summary['splits']['train']['skipped'] == {'duplicate': 1}
    row = skipped_of(tmp_path / 'out')['b/again']
    assert row['kind'] == 'duplicate' and row['reason'].startswith('like a/0 in train')
    assert 'b/again' not in names_of(tmp_path / 'out', 'train')
    assert not list((tmp_path / 'out').rglob('again.jpg'))
    kept = prepared(people.settings(), 'all')
    assert kept['splits']['train']['kept'] == 13


def test_a_copy_stays_in_the_test_set_rather_than_in_training(people, prepared,
                                                              tmp_path):
    for person in 'bcd':
        people.add(f'{person}/copy.jpg', Image.open(people.root / 'a' / '0.jpg'))
    prepared(people.settings(duplicates=2, test_identities=1))
    copies = {'a/0', 'b/copy', 'c/copy', 'd/copy'}
    assert len(copies & set(names_of(tmp_path / 'out', 'test'))) == 1
    assert not copies & set(names_of(tmp_path / 'out', 'train'))


def test_small_and_blurred_faces_are_left_out(people, prepared, tmp_path):
    image = Image.new('RGB', (160, 200), (120, 90, 80))
    people.add('e/flat.jpg', image)
    people.add('e/small.jpg', corner=(5, 5), row=','.join(
        f'{float(value) / 3:.2f}' for value in people.points['a/0'].split(',')))
    people.add('e/fine.jpg')
    summary = prepared(people.settings(min_side=100, min_sharpness=1))
    assert summary['splits']['train']['skipped'] == {'small': 1, 'blurred': 1}
    found = skipped_of(tmp_path / 'out')
    assert (found['e/flat']['kind'], found['e/small']['kind']) == ('blurred', 'small')
    assert 'e/fine' in names_of(tmp_path / 'out', 'train')


def test_the_report_counts_and_the_sheet_is_a_picture(people, prepared, tmp_path):
    prepared(people.settings(val_identities=1))
    with (tmp_path / 'out' / 'report.csv').open(newline='') as file:
        counts = {(row['split'], row['what']): int(row['faces'])
                  for row in csv.DictReader(file)}
    assert counts['train', 'kept'] == 9 and counts['val', 'kept'] == 3
    assert counts['train', 'kept, cut below 128 px'] == 0
    assert counts['train', 'kept, cut below 200 px'] == 9
    with Image.open(tmp_path / 'out' / 'contact_sheet.png') as sheet:
        assert sheet.size[0] > 1000
        assert (0, 255, 0) in {color for _, color in sheet.getcolors(1 << 20)}


@pytest.mark.slow
def test_killed_at_any_moment_the_tool_goes_on(people, tmp_path):
    for number in range(60):
        people.add(f'e/{number}.jpg')
    command = [REPOSITORY / 'tools' / 'prepare_faces.py',
               '--data-root', str(people.root), '--landmarks', str(people.csv),
               '--size', '64', '--shard-size', '3', '--val-identities', '1', '--out']
    assert call_tool(*command, tmp_path / 'whole', '--workers', '0').returncode == 0
    running = subprocess.Popen([sys.executable, *command, tmp_path / 'parts'],
                               start_new_session=True)
    units_there = tmp_path / 'parts' / '.work' / 'units'
    while running.poll() is None and not (
            units_there.is_dir() and len(list(units_there.glob('*.npy'))) >= 3):
        time.sleep(0.02)
    running.kill()
    running.wait()
    # a process left behind would write into what the next run makes
    deadline = time.monotonic() + 30
    while alive(running.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(running.pid)
    assert call_tool(*command, tmp_path / 'parts', '--workers', '0').returncode == 0
    assert files_of(tmp_path / 'whole') == files_of(tmp_path / 'parts')


def test_a_killed_process_tells_how_to_go_on(people, prepared, monkeypatch):
    monkeypatch.setattr(prepare, 'write_unit', die)
    with pytest.raises(RuntimeError, match='A worker died.*same command again'):
        prepared(people.settings(), executor=Executor(1))
    monkeypatch.undo()
    assert prepared(people.settings())['splits']['train']['kept'] == 12


def die(job, unit):
    """Stands for a process that the system kills."""
    os._exit(3)
