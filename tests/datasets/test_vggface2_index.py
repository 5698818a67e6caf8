"""The index: what it holds, what it counts, and how it is cached."""
import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fdsr.datasets import vggface2_index
from fdsr.datasets.vggface2_files import find_files
from fdsr.datasets.vggface2_index import FaceIndex, open_index


def opened(toy, **kwargs) -> FaceIndex:
    return open_index(find_files(toy.root, toy.split), toy.split, **kwargs)


def reasons(index: FaceIndex) -> dict[str, str]:
    return {index.name(row): index.reason(index.status[row])
            for row in range(len(index)) if index.status[row]}


def test_rows_are_those_of_the_files(toy_root):
    toy = toy_root()
    index = opened(toy)
    assert [index.name(row) for row in range(len(index))] == toy.names
    assert index.path(3) == f'{toy.names[3]}.jpg'
    for row, (box, face) in enumerate(zip(toy.boxes.read_text().splitlines()[1:],
                                          toy.landmarks.read_text().splitlines()[1:])):
        assert index.boxes[row].tolist() == [float(cell) for cell in box.split(',')[1:]]
        expected = np.array(face.split(',')[1:], np.float32).reshape(5, 2)
        assert np.array_equal(index.landmarks[row], expected)
    assert index.identities.tolist() == sorted(list(range(5)) * 4)
    assert index.facts['listed'] == 20 and index.facts['identities'] == 5
    assert not reasons(index) and not index.notes()


@pytest.mark.parametrize('which', ['listing', 'boxes', 'landmarks'])
def test_any_order_of_the_files_gives_the_same_faces(toy_root, which):
    toy = toy_root()
    straight = opened(toy)
    expected = {straight.name(row): (straight.boxes[row].tolist(),
                                     straight.landmarks[row].tolist())
                for row in range(len(straight))}
    path = getattr(toy, which)
    lines = path.read_text().splitlines()
    first = 0 if which == 'listing' else 1
    path.write_text('\n'.join(lines[:first] + lines[first:][::-1]) + '\n')
    index = opened(toy)
    assert index.folder != straight.folder
    names = [index.name(row) for row in range(len(index))]
    assert names == (toy.names[::-1] if which == 'listing' else toy.names)
    for row, name in enumerate(names):
        assert (index.boxes[row].tolist(),
                index.landmarks[row].tolist()) == expected[name]


def test_identities_are_numbered_as_they_appear(toy_root):
    toy = toy_root(identities=3, each=2)
    names = ['n000004/0001_01', 'n000002/0001_01', 'n000004/0002_01', 'n000002/0002_01']
    toy.listing.write_text('\n'.join(f'{name}.jpg' for name in names))
    index = opened(toy)
    assert index.identities.tolist() == [0, 1, 0, 1]
    assert index.facts['rows_not_listed'] == {toy.boxes.name: 2, toy.landmarks.name: 2}


def test_bad_rows_are_told_apart(toy_root):
    toy = toy_root()
    names = toy.names
    toy.change(toy.boxes, names[1], None)
    toy.change(toy.landmarks, names[3], None)
    toy.change(toy.boxes, names[5], f'"{names[5]}",1,2,,4')
    toy.change(toy.landmarks, names[7], f'"{names[7]}",1,2,3,4,5,six,7,8,9,10')
    toy.change(toy.boxes, names[9], f'"{names[9]}",1,2,0,4')
    toy.change(toy.boxes, names[11], f'"{names[11]}",1,inf,3,4')
    toy.change(toy.landmarks, names[13], f'"{names[13]}",1,2,3')
    boxes, landmarks = toy.boxes.name, toy.landmarks.name
    assert reasons(opened(toy)) == {
        names[1]: f'no row in {boxes}',
        names[3]: f'no row in {landmarks}',
        names[5]: f'a number is missing in its row of {boxes}',
        names[7]: f'a number is missing in its row of {landmarks}',
        names[9]: f'its box has no width or no height in {boxes}',
        names[11]: f'a number is missing in its row of {boxes}',
        names[13]: f'a number is missing in its row of {landmarks}'}


def test_of_rows_that_come_twice_the_first_counts(toy_root):
    toy = toy_root()
    for path, line in ((toy.boxes, f'"{toy.names[2]}",0,0,9,9\n'),
                       (toy.listing, f'{toy.names[4]}.png\n')):
        path.write_text(path.read_text() + line)
    index = opened(toy)
    assert len(index) == 20 and index.boxes[2, 2] == 100
    assert index.path(4).endswith('.jpg')
    assert index.notes() == [
        (toy.names[2], f'duplicate in {toy.boxes.name}: the first row is used'),
        (toy.names[4], f'duplicate in {toy.listing.name}')]


def test_without_a_list_the_csv_gives_the_order(toy_root):
    toy = toy_root()
    toy.listing.unlink()
    index = opened(toy)
    assert [index.path(row) for row in range(20)] == [f'{n}.jpg' for n in toy.names]
    assert index.facts['list_file'] is None


def test_suffixes_and_letters_of_the_list(toy_root):
    toy = toy_root(identities=1, each=3)
    toy.listing.write_text('Zoë/a.b.PNG\r\n\nZoë/c\nd.jpeg', encoding='utf-8')
    index = opened(toy)
    assert [index.path(row) for row in range(3)] == ['Zoë/a.b.PNG', 'Zoë/c.jpg',
                                                     'd.jpeg']
    assert [index.name(row) for row in range(3)] == ['Zoë/a.b', 'Zoë/c', 'd']
    assert index.identities.tolist() == [0, 0, 1]


def test_a_list_that_is_no_utf_8_names_the_line(toy_root):
    toy = toy_root()
    lines = toy.listing.read_bytes().splitlines(keepends=True)
    lines[6] = 'Zoë/1.jpg\n'.encode('latin-1')
    toy.listing.write_bytes(b''.join(lines))
    with pytest.raises(ValueError, match=r"train_list.txt, line 7: b'Zo\\xeb/1"):
        opened(toy)


def test_columns_may_come_in_another_order(toy_root):
    toy = toy_root(identities=1, each=1)
    toy.boxes.write_text(f'W,H,more,Y,X,NAME_ID\n3,4,x,2,1,"{toy.names[0]}"\n')
    assert opened(toy).boxes[0].tolist() == [1, 2, 3, 4]


def test_the_cache_is_used_until_a_file_changes(toy_root, monkeypatch):
    toy = toy_root()
    first = opened(toy)
    assert first.folder.parent == toy.root / '.fdsr_cache'
    with monkeypatch.context() as patch:
        patch.setattr(vggface2_index, 'build', None)  # would raise if it were called
        assert opened(toy).folder == first.folder
    stat = toy.boxes.stat()
    os.utime(toy.boxes, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    assert opened(toy).folder != first.folder


def test_a_broken_cache_is_built_anew(toy_root, tmp_path):
    toy = toy_root()
    folder = opened(toy, cache_dir=tmp_path / 'cache').folder
    whole = (folder / 'boxes.npy').read_bytes()
    for spoil in (whole[:-8], b'', None):
        if spoil is None:
            (folder / 'boxes.npy').unlink()
        else:
            (folder / 'boxes.npy').write_bytes(spoil)
        assert len(opened(toy, cache_dir=tmp_path / 'cache').boxes) == 20
        assert (folder / 'boxes.npy').read_bytes() == whole
    assert not list(folder.parent.glob('*.part-*'))


@pytest.mark.parametrize('error, expected, words', [
    (OSError('512 requested and 0 written'), OSError, 'Free disk space, or'),
    (KeyboardInterrupt('now'), KeyboardInterrupt, 'now')])
def test_a_cache_that_could_not_be_finished_leaves_nothing(
        toy_root, tmp_path, monkeypatch, error, expected, words):
    toy, left = toy_root(), [2]
    save = np.save

    def failing(*args):
        left[0] -= 1
        if not left[0]:
            raise error
        save(*args)

    with monkeypatch.context() as patch:
        patch.setattr(vggface2_index.np, 'save', failing)
        with pytest.raises(expected, match=words):
            opened(toy, cache_dir=tmp_path / 'cache')
    assert [path.suffix for path in (tmp_path / 'cache').iterdir()] == ['.lock']
    assert len(opened(toy, cache_dir=tmp_path / 'cache')) == 20


@pytest.mark.parametrize('spell', [
    lambda text: '\ufeff' + text, lambda text: text.replace('"', ''),
    lambda text: text.replace(',', ', '), lambda text: text.replace('\n', '\r\n'),
    lambda text: text + '\n\n'])
@pytest.mark.parametrize('which', ['boxes', 'landmarks'])
def test_spellings_of_a_csv(toy_root, which, spell):
    toy = toy_root()
    expected = opened(toy)
    path = getattr(toy, which)
    path.write_bytes(spell(path.read_text()).encode())
    index = opened(toy)
    assert index.folder != expected.folder and not reasons(index)
    assert np.array_equal(index.boxes, expected.boxes)
    assert np.array_equal(index.landmarks, expected.landmarks)


def test_where_the_root_cannot_be_written_the_home_is_taken(toy_root, tmp_path,
                                                            monkeypatch):
    toy = toy_root()
    (toy.root / '.fdsr_cache').touch()  # a file: no folder can be made of it
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
    assert opened(toy).folder.parent == tmp_path / 'home' / 'fdsr'
    (tmp_path / 'home' / 'fdsr').rename(tmp_path / 'moved')
    (tmp_path / 'home' / 'fdsr').touch()
    with pytest.raises(PermissionError, match='Pass a writable cache_dir'):
        opened(toy)


def test_arrays_are_mapped_and_the_pickle_is_small(toy_root):
    index = opened(toy_root())
    assert isinstance(index.boxes, np.memmap)
    assert len(pickle.dumps(index)) < 2000
    assert np.array_equal(pickle.loads(pickle.dumps(index)).boxes, index.boxes)


@pytest.mark.slow
def test_a_long_list_takes_seconds(tmp_path):
    path = Path(__file__).resolve().parents[2] / 'benchmarks' / 'index.py'
    spec = importlib.util.spec_from_file_location('benchmark_index', path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    benchmark.generate(tmp_path / 'data', 300_000)
    built = benchmark.measure(tmp_path / 'data')
    opened_again = benchmark.measure(tmp_path / 'data')
    # a tenth of VGGFace2's length, a tenth of its minute; CPU seconds, for a test may
    # have to share the machine
    assert built['cpu'] < 6
    assert built['peak'] - built['before'] < 200
    assert opened_again['cpu'] < 1
    assert opened_again['kept'] == built['kept'] > 0
