"""Prepared faces: items, lost files, processes, resume."""
import json
import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from fdsr.datasets import FaceManifestDataset, collate_samples, manifest
from fdsr.datasets.image_storage import decode, encode
from fdsr.datasets.manifest import (
    Manifest,
    Shard,
    join_manifests,
    write_manifest,
)
from fdsr.preparation.faces.prepare import prepare
from fdsr.preparation.faces.settings import Settings
from fdsr.registry import DATASETS
from tests import warm

PIPELINE = [dict(type='fdsr.FlipFace', prob=0.5), dict(type='fdsr.ComponentBoxes'),
            dict(type='fdsr.DownsampleToLR', scale=8),
            dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])]

FACTS = dict(split='train', size=32, alignment='none', eye_share=0.3, storage='folder',
             encoding='png', source=None)


@pytest.fixture(params=['folder', 'lmdb'])
def storage(request):
    return request.param


@pytest.fixture
def root(toy_root, tmp_path, storage):
    """24 faces of 32 px in shards of 5, the last one of 4."""
    toy = toy_root(identities=6)
    prepare(Settings(str(toy.root), size=32, eye_share=0.3, shard_size=5,
                     storage=storage), tmp_path / 'prepared')
    return tmp_path / 'prepared'


def test_items_and_pipeline_are_those_of_other_sets(root, toy_root):
    faces = DATASETS.build(dict(type='fdsr.FaceManifestDataset', data_root=str(root),
                                pipeline=[]))
    assert len(faces) == 24
    item = faces[7]
    assert set(item) == {'img', 'landmarks', 'name'}
    assert item['img'].shape == (32, 32, 3) and item['img'].dtype == np.uint8
    assert item['landmarks'].shape == (5, 2)
    assert item['landmarks'].dtype == np.float32
    assert item['name'] == faces.sample_name(7) == 'n000003/0004_01'
    item['img'][:] = item['landmarks'][:] = 0  # its own memory, not the file's
    assert faces[7]['img'].any() and faces[7]['landmarks'].any()
    packed = DATASETS.build(dict(type='fdsr.FaceManifestDataset', data_root=str(root),
                                 pipeline=PIPELINE))[3]
    assert packed['inputs'].shape == (3, 4, 4)
    assert packed['data_samples'].gt_img.shape == (3, 32, 32)


def test_all_landmarks_are_told_without_a_picture(root, monkeypatch):
    faces = FaceManifestDataset(root, subset=9)
    expected = np.stack([faces[index]['landmarks'] for index in range(9)])
    monkeypatch.setattr('fdsr.datasets.face_manifest.decode', None)
    assert np.array_equal(faces.all_landmarks(), expected)


def test_facts(root):
    faces = FaceManifestDataset(root)
    protocol = faces.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert (protocol['kept'], protocol['listed'], protocol['size']) == (24, 24, 32)
    assert 'eye distance 0.3' in protocol['alignment']
    assert faces.geometry() == dict(size=32, eye_share=0.3)
    assert faces.fingerprint() == FaceManifestDataset(root).fingerprint()
    assert faces.fingerprint() != FaceManifestDataset(root, subset=5).fingerprint()


def test_a_subset_is_fixed_by_its_seed(root):
    def names(**kwargs):
        faces = FaceManifestDataset(root, **kwargs)
        return [faces.sample_name(index) for index in range(len(faces))]
    assert names(subset=6) == names(subset=6) == sorted(names(subset=6))
    assert names(subset=6) != names(subset=6, subset_seed=1)
    assert set(names(subset=6)) < set(names())
    with pytest.warns(UserWarning, match='exceeds the 24 faces'):
        assert len(names(subset=99)) == 24


def test_a_shard_is_opened_once_and_few_stay_open(root, monkeypatch):
    monkeypatch.setattr(manifest, 'MOST_OPEN', 2)
    faces = FaceManifestDataset(root)
    loads = []
    load = np.load
    monkeypatch.setattr(manifest.np, 'load', lambda *args, **kwargs: (
        loads.append(args), load(*args, **kwargs))[1])
    for index in (0, 1, 4, 5, 9, 0):
        faces[index]
    assert len(loads) == 2
    for index in range(24):
        assert faces[index]['name'] == faces.sample_name(index)
    assert len(faces.manifest._open) == 2


def test_it_is_pickled_small_and_read_by_workers(root):
    faces = FaceManifestDataset(root)
    faces[0]
    assert len(pickle.dumps(faces)) < 5000
    loader = DataLoader(faces, 4, num_workers=2, collate_fn=collate_samples)
    read = [name for batch in loader for name in batch['name']]
    assert read == [faces.sample_name(index) for index in range(24)]


@pytest.mark.parametrize('storage', ['folder'], indirect=True)
@pytest.mark.parametrize('spoil, reason', [
    (lambda path: path.unlink(), 'No such file'),
    (lambda path: path.write_bytes(b''), 'cannot be decoded'),
    (lambda path: path.write_bytes(path.read_bytes()[:300]), 'cannot be decoded'),
    (lambda path: path.write_bytes(encode(np.zeros((8, 8, 3), np.uint8), 'jpeg')),
     'has 8x8 px, expected 32x32')])
def test_a_bad_picture_is_a_row_of_the_report(root, tmp_path, spoil, reason):
    faces = FaceManifestDataset(root, report_dir=tmp_path)
    spoil(root / 'train' / '000001' / f'{faces.sample_name(6)}.jpg')
    assert faces[6] is None and faces[7] is not None
    [row] = faces.report.rows()
    assert row['name'] == faces.sample_name(6) and reason in row['reason']
    assert faces.num_skipped == 1


def test_a_lost_shard_is_reported_face_by_face(root, tmp_path):
    (root / 'train' / '000002' / 'index.npy').write_bytes(b'\x93NUMPY')
    faces = FaceManifestDataset(root, report_dir=tmp_path, max_bad_share=0.3)
    assert [faces[index] is None for index in range(9, 16)] == [
        False, *[True] * 5, False]
    assert faces.report.rows()[0]['name'] == 'train/000002#0'
    with pytest.raises(RuntimeError, match='max_bad_share'):
        FaceManifestDataset(root, report_dir=tmp_path, max_bad_share=0)[10]


def test_an_index_of_another_length_is_refused(root, tmp_path):
    first, second = (root / 'train' / name / 'index.npy' for name in (
        '000004', '000000'))
    first.replace(second)
    faces = FaceManifestDataset(root, report_dir=tmp_path)
    assert faces[0] is None
    assert 'is not the index of 5 faces' in faces.report.rows()[0]['reason']


@pytest.mark.parametrize('change, error', [
    (lambda facts: facts.pop('size'), 'lacks size'),
    (lambda facts: facts.update(format=99), 'has format 99'),
    (lambda facts: facts.update(count=5), 'counts 5 faces, its shards have 24'),
    (lambda facts: facts.update(shards=[], count=0), 'has no face')])
def test_manifests_that_cannot_be_used(root, change, error):
    file = root / 'train' / 'manifest.json'
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=error):
        FaceManifestDataset(root)


def test_wrong_arguments(root):
    with pytest.raises(FileNotFoundError, match='prepare_faces'):
        FaceManifestDataset(root, 'val')
    with pytest.raises(ValueError, match='have 32 px'):
        FaceManifestDataset(root, size=64)
    with pytest.raises(ValueError, match='subset is 0'):
        FaceManifestDataset(root, subset=0)
    (root / 'train' / 'manifest.json').write_text('{"format": ')
    with pytest.raises(ValueError, match='is not a manifest'):
        FaceManifestDataset(root)


def test_a_hundred_million_faces_are_found_without_a_list(tmp_path):
    shards = [Shard(f'{number:06d}', 2000, '0' * 16) for number in range(50_000)]
    write_manifest(tmp_path, FACTS, shards)
    found = Manifest(tmp_path)
    assert len(found) == 100_000_000
    assert found.locate(0) == (0, 0) and found.locate(1999) == (0, 1999)
    assert found.locate(2000) == (1, 0)
    assert found.locate(99_999_999) == (49_999, 1999)
    assert len(pickle.dumps(found)) < 5_000_000


@pytest.mark.parametrize('encoding', ['jpeg', 'png', 'raw'])
def test_encodings(encoding):
    img = np.random.RandomState(0).randint(0, 256, (24, 24, 3)).astype(np.uint8)
    data = encode(img, encoding, 100)
    found = decode(data, encoding, 24)
    assert found.flags.writeable
    assert np.abs(found.astype(int) - img).max() <= (12 if encoding == 'jpeg' else 0)
    for bad in (b'', data[:len(data) // 2]):
        with pytest.raises(ValueError):
            decode(bad, encoding, 24)
    with pytest.raises(ValueError, match='expected'):
        decode(data, encoding, 25)


def flipped(path, place, bit=3):
    """Flips a bit of a file and returns its content before."""
    before = path.read_bytes()
    data = bytearray(before)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return before


@pytest.mark.parametrize('storage', ['folder'], indirect=True)
def test_a_flipped_bit_of_an_index_is_found(root, tmp_path):
    """The digest covers names, keys, landmarks and the header."""
    index = root / 'train' / '000001' / 'index.npy'
    for number, place in enumerate((10, 60, 140, 170, -1)):
        before = flipped(index, place)
        faces = FaceManifestDataset(root, report_dir=tmp_path / str(number))
        assert faces[6] is None and faces[0] is not None
        assert 'index.npy' in faces.report.rows()[0]['reason']
        index.write_bytes(before)
    assert FaceManifestDataset(root)[6] is not None


def test_a_flipped_bit_of_an_image_is_found(root, storage, tmp_path):
    images = sorted((root / 'train' / '000001').rglob('*.*'))
    image = next(path for path in images if path.name != 'index.npy')
    size = image.stat().st_size
    good = FaceManifestDataset(root)
    expected = [good[index]['img'] for index in range(5, 10)]
    good.manifest.close()
    for number in range(20):
        before = flipped(image, number * size // 20, number % 8)
        faces = FaceManifestDataset(root, report_dir=tmp_path / str(number),
                                    max_bad_share=1)
        for face, img in zip((faces[index] for index in range(5, 10)), expected):
            assert face is None or np.array_equal(face['img'], img)
        if storage == 'folder':
            assert any(faces[index] is None for index in range(5, 10))
        image.write_bytes(before)


@pytest.mark.parametrize('storage', ['lmdb'], indirect=True)
@pytest.mark.parametrize('kept', [0, 100, 4096, 5000, 8192, 0.3, 0.5, 0.9])
def test_a_truncated_lmdb_is_a_row_of_the_report(root, tmp_path, kept):
    """The package lmdb would end the process with SIGBUS."""
    file = root / 'train' / '000001' / 'pictures.lmdb'
    data = file.read_bytes()
    file.write_bytes(data[:int(kept * len(data)) if kept < 1 else kept])
    faces = FaceManifestDataset(root, report_dir=tmp_path, max_bad_share=1)
    assert [faces[index] for index in range(5, 10)].count(None)
    assert faces[0] is not None and faces[10] is not None
    reason = faces.report.rows()[0]['reason']
    assert 'pictures.lmdb' in reason and 'damaged or truncated' in reason


def test_an_earlier_manifest_without_hashes_is_read(root):
    expected = FaceManifestDataset(root)[7]
    part = Manifest(root / 'train')
    shards = []
    for shard in part.shards:
        index = root / 'train' / shard.folder / 'index.npy'
        records = np.load(index)
        old = np.empty(len(records), [
            column for column in records.dtype.descr if column[0] != 'crc'])
        for column in old.dtype.names:
            old[column] = records[column]
        np.save(index, old)
        shards.append(shard._replace(digest=manifest.digest_of(index)))
    write_manifest(root / 'train', part.facts, shards)
    file = root / 'train' / 'manifest.json'
    facts = json.loads(file.read_text())
    del facts['digest']
    file.write_text(json.dumps({**facts, 'format': 1}))
    found = FaceManifestDataset(root)[7]
    assert np.array_equal(found['img'], expected['img'])
    assert found['name'] == expected['name']


@pytest.mark.parametrize('storage', ['folder'], indirect=True)
@pytest.mark.parametrize('fact, value', [
    ('size', '32'), ('size', True), ('eye_share', 2), ('eye_share', [1]),
    ('storage', ['lmdb']), ('encoding', {}), ('encoding', 'gif'), ('count', 24.5),
    ('shards', 5), ('shards', [['000000', 5]]), ('shards', [[0, 5, 'x']]),
    ('shards', [['000000', -5, 'x']]), ('eye_share', 0.31)])
def test_mistyped_facts_are_named(root, fact, value):
    file = root / 'train' / 'manifest.json'
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, fact: value}))
    with pytest.raises(ValueError, match=rf'manifest\.json .*({fact}|digest)'):
        FaceManifestDataset(root)


def in_two_processes(root, out, *starts):
    warm.run_ranks('-m', 'tests.datasets.manifest_in_processes', root, out, *starts)
    return [[json.loads((out / f'{start}_{rank}.json').read_text())
             for rank in (0, 1)] for start in starts]


@pytest.mark.slow
@pytest.mark.parametrize('storage', ['lmdb'], indirect=True)
def test_two_processes_see_each_face_once_an_epoch_also_behind_a_resume(root, tmp_path):
    faces = FaceManifestDataset(root)
    everyone = sorted(faces.sample_name(index) for index in range(24))
    # in the second run, three batches of two times three faces are behind
    ranks, resumed = in_two_processes(root, tmp_path, 0, 18)
    epochs = [sorted(name for batches in ranks for batch in batches[first:first + 4]
                     for name in batch) for first in (0, 4)]
    assert epochs == [everyone, everyone]
    assert ranks[0][:4] != ranks[0][4:], 'the second epoch has another order'
    assert resumed == [batches[3:] for batches in ranks]


def test_sets_prepared_alike_become_one(root, tmp_path):
    join_manifests([root / 'train', root / 'train'], tmp_path / 'both' / 'train')
    one, both = FaceManifestDataset(root), FaceManifestDataset(tmp_path / 'both')
    assert len(both) == 48 and both.protocol()['listed'] == 48
    assert both.eye_share == one.eye_share
    assert both.sample_name(24 + 7) == both.sample_name(7) == one.sample_name(7)
    assert np.array_equal(both[24 + 13]['img'], one[13]['img'])
    part = Manifest(root / 'train')
    (tmp_path / 'other').mkdir()
    write_manifest(tmp_path / 'other', {**part.facts, 'size': 64}, part.shards)
    with pytest.raises(ValueError, match='has size 64'):
        join_manifests([root / 'train', tmp_path / 'other'], tmp_path / 'no')
    with pytest.raises(ValueError, match='folders is empty'):
        join_manifests([], tmp_path / 'no')


@pytest.mark.parametrize('storage', ['lmdb'], indirect=True)
def test_an_lmdb_is_read_by_two_sets_of_one_process(root):
    one, other = FaceManifestDataset(root), FaceManifestDataset(root)
    assert np.array_equal(one[3]['img'], other[3]['img'])
    del one
    assert other[3] is not None and other[4] is not None
    third = FaceManifestDataset(root)
    assert third[4] is not None
    loader = DataLoader(third, 4, num_workers=1, collate_fn=collate_samples)
    assert len([name for batch in loader for name in batch['name']]) == 24
    other.manifest.close()
    assert other[4]['name'] == 'n000003/0001_01'
