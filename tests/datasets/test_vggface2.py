"""VGGFace2's layout: what is selected, what comes out, and every kind of bad input."""
import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFile
from torch.utils.data import DataLoader

from fdsr.datasets import SampleKey, VGGFace2Dataset, collate_samples
from fdsr.preparation.dictionary.balance import yaw_of
from fdsr.registry import DATASETS


def names_of(faces):
    return [faces.index.name(row) for row in faces.rows]


@pytest.fixture
def build(tmp_path):
    def make(toy, **kwargs):
        kwargs.setdefault('report_dir', tmp_path / 'report')
        return VGGFace2Dataset(toy.root, toy.split, size=kwargs.pop('size', 64),
                               **kwargs)
    return make


def test_items_before_the_pipeline(toy_root):
    toy = toy_root()
    faces = DATASETS.build(dict(type='fdsr.VGGFace2Dataset', data_root=str(toy.root),
                                size=64, pipeline=[]))
    assert len(faces) == 20
    item = faces[3]
    assert set(item) == {'img', 'landmarks', 'name'}
    assert item['img'].shape == (64, 64, 3) and item['img'].dtype == np.uint8
    assert item['landmarks'].shape == (5, 2) and item['landmarks'].dtype == np.float32
    assert item['name'] == toy.names[3]


def test_all_landmarks_are_those_of_the_pictures_in_order(toy_root, build):
    faces = build(toy_root(), subset=7)
    points = faces.all_landmarks()
    assert points.shape == (7, 5, 2)
    assert np.array_equal(points[4], faces.index.landmarks[faces.rows[4]])
    # a crop only shifts and scales: the nose stays at its place between the eyes
    assert yaw_of(points[4]) == pytest.approx(
        float(yaw_of(faces[4]['landmarks'])), abs=1e-3)


@pytest.mark.parametrize('kwargs', [{}, dict(align='five_point', eye_share=0.3)])
def test_the_crop_is_what_was_asked_for(toy_root, build, kwargs):
    toy = toy_root()
    item = build(toy, **kwargs)[0]
    with Image.open(toy.image(toy.names[0])) as file:
        whole = file.convert('RGB')
    x, y, width, height = (float(cell) for cell in
                           toy.boxes.read_text().splitlines()[1].split(',')[1:])
    if kwargs:
        eyes = item['landmarks'][1] - item['landmarks'][0]
        assert np.linalg.norm(eyes) == pytest.approx(0.3 * 64, rel=0.1)
        assert abs(eyes[1]) < 0.1
    else:
        side = round(1.3 * height)
        left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
        pad = 100
        padded = np.pad(whole, ((pad, pad), (pad, pad), (0, 0)), 'reflect')
        square = padded[top + pad:top + pad + side, left + pad:left + pad + side]
        expected = Image.fromarray(square).resize((64, 64), Image.BICUBIC)
        assert np.array_equal(item['img'], np.asarray(expected))


def test_small_boxes_are_left_out_and_counted(toy_root, build):
    toy = toy_root()
    toy.change(toy.boxes, toy.names[2], f'"{toy.names[2]}",20,20,99,150')
    toy.change(toy.boxes, toy.names[4], f'"{toy.names[4]}",20,20,150,99')
    faces = build(toy, min_box_side=100)
    assert names_of(faces) == [name for row, name in enumerate(toy.names)
                               if row not in (2, 4)]
    protocol = faces.protocol()
    assert (protocol['listed'], protocol['kept'], protocol['min_box_side']) == \
        (20, 18, 100)


def test_parts_are_apart_by_identity(toy_root, build):
    toy = toy_root()
    train, val = (build(toy, part=part, val_identities=2) for part in ('train', 'val'))
    assert names_of(train) == toy.names[:12] and names_of(val) == toy.names[12:]
    assert (train.name, val.name) == ('vggface2_train_train', 'vggface2_train_val')
    assert 'the last ones of the list' in val.protocol()['part']


def test_seeded_parts(toy_root, build):
    toy = toy_root(identities=9, each=2)
    seen = set()
    for seed in range(4):
        parts = [names_of(build(toy, part=part, val_identities=3, val_seed=seed))
                 for part in ('train', 'val')]
        people = [{name.split('/')[0] for name in part} for part in parts]
        assert len(people[1]) == 3 and not people[0] & people[1]
        assert sorted(parts[0] + parts[1]) == toy.names
        seen.add(tuple(parts[1]))
    assert len(seen) > 1
    assert parts[1] == names_of(build(toy, part='val', val_identities=3, val_seed=3))


def test_a_subset_is_fixed_by_its_seed(toy_root, build):
    toy = toy_root()
    chosen = names_of(build(toy, subset=7))
    assert chosen == names_of(build(toy, subset=7)) == sorted(chosen)
    assert len(chosen) == 7 and chosen != names_of(build(toy, subset=7, subset_seed=1))
    # ... and does not change with a row that turns out to be bad
    toy.change(toy.landmarks, chosen[2], None)
    assert names_of(build(toy, subset=7)) == chosen[:2] + chosen[3:]
    with pytest.warns(UserWarning, match='exceeds the 20 faces'):
        assert len(build(toy, subset=50, max_bad_share=1)) == 19


def test_protocol_is_json_and_says_how(toy_root, build):
    toy = toy_root()
    faces = build(toy, size=256, subset=10, align='five_point', eye_share=0.3125)
    protocol = json.loads(json.dumps(faces.metainfo))['protocol']
    assert protocol['subset'] == dict(asked=10, seed=0)
    assert '0.3125 of the side' in protocol['crop']
    assert 'PIL bicubic to 256' in protocol['crop']
    # the eyes are 40 px apart: 128 px of picture for a side of 256
    assert protocol['up_sampled'] == 10
    shares = [faces.padded_share(index) for index in range(10)]
    assert protocol['padded'] == dict(crops=sum(share > 0 for share in shares), of=10)
    assert build(toy, size=64).protocol()['up_sampled'] == 0


def test_padding_is_told(toy_root, build):
    toy = toy_root()
    toy.change(toy.boxes, toy.names[0], f'"{toy.names[0]}",-40,20,100,100')
    toy.change(toy.boxes, toy.names[1], f'"{toy.names[1]}",40,40,60,60')
    faces = build(toy)
    # 130 px from -55 on
    assert faces.padded_share(0) == pytest.approx(55 / 130, abs=0.02)
    assert faces.padded_share(1) == 0
    assert faces[0]['img'].shape == (64, 64, 3)


def test_pickles_are_small_and_workers_agree(toy_root, build):
    toy = toy_root()
    faces = build(toy, align='five_point', pipeline=[
        dict(type='FlipFace'), dict(type='ComponentBoxes')])
    assert len(pickle.dumps(faces)) < 5000
    alone = [faces[index] for index in range(20)]
    loader = DataLoader(faces, 5, num_workers=2, collate_fn=collate_samples,
                        multiprocessing_context='fork')
    batches = [item for batch in loader for item in batch['img']]
    assert all(np.array_equal(a['img'], b) for a, b in zip(alone, batches))
    again = pickle.loads(pickle.dumps(faces))
    assert np.array_equal(again[7]['img'], alone[7]['img'])


# Bad input

def test_no_data_root(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        VGGFace2Dataset(tmp_path / 'nowhere')
    for part in ('nowhere', 'is not a folder', '--data-root', 'loose_bb_<split>.csv'):
        assert part in str(caught.value)


def test_no_picture_folder(toy_root, build):
    toy = toy_root()
    shutil.rmtree(toy.images)
    with pytest.raises(FileNotFoundError, match='Missing image folder .*train'):
        build(toy)


@pytest.mark.parametrize('which', ['boxes', 'landmarks'])
def test_no_csv(toy_root, build, which):
    toy = toy_root()
    getattr(toy, which).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        build(toy)
    for part in (str(getattr(toy, which)), 'NAME_ID,X,Y,W,H', 'P5X,P5Y'):
        assert part in str(caught.value)


@pytest.mark.parametrize('which, column', [('boxes', 'H'), ('landmarks', 'P5X')])
def test_wrong_columns(toy_root, build, which, column):
    toy = toy_root()
    path = getattr(toy, which)
    path.write_text(path.read_text().replace(column, 'OTHER', 1))
    with pytest.raises(ValueError) as caught:
        build(toy)
    for part in (str(path), f'lacks the column(s) {column}', 'found NAME_ID', 'OTHER'):
        assert part in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'\xff\xfe\x00', b'NAME_ID,X,Y,W,H\n"a,1\n'])
def test_no_csv_at_all(toy_root, build, content):
    toy = toy_root()
    toy.boxes.write_bytes(content)
    with pytest.raises(ValueError, match='loose_bb_train.csv'):
        build(toy)


def test_an_empty_list(toy_root, build):
    toy = toy_root()
    toy.listing.write_text('\n\n')
    with pytest.raises(ValueError, match='train_list.txt is empty'):
        build(toy)
    toy.listing.unlink()
    toy.boxes.write_text('NAME_ID,X,Y,W,H\n')
    with pytest.raises(ValueError, match='nothing to index'):
        build(toy)


def test_an_empty_selection(toy_root, build):
    with pytest.raises(ValueError, match='None of the 20 faces'):
        build(toy_root(), min_box_side=1000)


@pytest.mark.parametrize('count', [0, 5, -1])
def test_impossible_validation_part(toy_root, build, count):
    with pytest.raises(ValueError, match='expected 1 to 4'):
        build(toy_root(), part='val', val_identities=count)


@pytest.mark.parametrize('kwargs', [
    dict(split='val'), dict(part='test'), dict(align='ffhq'), dict(size=0),
    dict(crop_scale=-1), dict(eye_share=0), dict(subset=0)])
def test_impossible_arguments(toy_root, kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        VGGFace2Dataset(toy_root().root, **kwargs)
    with pytest.raises(ValueError, match='divides the training list'):
        VGGFace2Dataset('anywhere', 'test', part='val')


def spoilt(toy, how, name):
    """Spoil one sample; returns what its row in the report must say."""
    path = toy.image(name)
    if how == 'missing':
        path.unlink()
        return f'missing image: {path}'
    if how == 'truncated':
        path.write_bytes(path.read_bytes()[:-500])
        return 'Premature end'
    if how == 'no picture':
        path.write_text('no picture')
        return 'cannot be decoded'
    if how == 'box':
        toy.change(toy.boxes, name, f'"{name}",-300,0,100,100')
        return 'misses the image'
    toy.change(toy.landmarks, name, None)
    return f'no row in {toy.landmarks.name}'


KINDS = ['missing', 'truncated', 'no picture', 'box', 'landmarks']


@pytest.mark.parametrize('align', [None, 'five_point'])
@pytest.mark.parametrize('how', KINDS)
def test_a_spoilt_sample_is_listed_and_the_run_goes_on(toy_root, build, how, align):
    toy = toy_root()
    reason = spoilt(toy, how, toy.names[6])
    faces = build(toy, align=align)
    items = [faces[index] for index in range(len(faces))]
    assert [item['name'] for item in items if item] == [
        name for name in toy.names if name != toy.names[6]]
    rows = faces.report.rows()
    assert [row['name'] for row in rows] == [toy.names[6]]
    assert reason in rows[0]['reason']
    assert faces.num_skipped == 1


@pytest.mark.parametrize('how', KINDS)
def test_too_many_spoilt_samples_stop_with_the_lists_path(toy_root, build, how):
    toy = toy_root()
    for name in toy.names[3:7]:
        spoilt(toy, how, name)
    with pytest.raises(RuntimeError) as caught:
        list(build(toy, max_bad_share=0.15))
    assert 'skipped_vggface2_train.csv' in str(caught.value)
    assert '4 of 20' in str(caught.value)


def test_truncated_pictures_stay_bad_whatever_another_package_set(toy_root, build,
                                                                  monkeypatch):
    toy = toy_root()
    spoilt(toy, 'truncated', toy.names[0])
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    assert build(toy)[0] is None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_bad_rows_of_another_part_do_not_count(toy_root, build):
    toy = toy_root()
    for name in toy.names[12:]:
        spoilt(toy, 'landmarks', name)
    faces = build(toy, part='train', val_identities=2)
    assert len(faces) == 12 and not faces.report.rows()
    with pytest.raises(RuntimeError, match='8 of 8'):
        build(toy, part='val', val_identities=2)
    with pytest.raises(ValueError, match='8 rows are bad'):
        build(toy, part='val', val_identities=2, max_bad_share=1)


def test_grey_pictures_become_rgb(toy_root, build):
    toy = toy_root()
    path = toy.image(toy.names[0])
    Image.open(path).convert('L').save(path)
    img = build(toy)[0]['img']
    assert (img == img[..., :1]).all() and img.std() > 1


# Real photographs

def test_real_faces(shared_faces, tmp_path):
    kwargs = dict(size=128, align='five_point', eye_share=0.3125, min_box_side=128,
                  cache_dir=tmp_path, report_dir=tmp_path)
    train, val = (VGGFace2Dataset(shared_faces, 'train', part=part, **kwargs)
                  for part in ('train', 'val'))
    assert names_of(val) == [f'n{person:06d}/0001_01' for person in range(2012, 2212)]
    assert len(train) == train.protocol()['kept'] == 2011
    test = VGGFace2Dataset(shared_faces, 'test', pipeline=[
        dict(type='DownsampleToLR', scale=8)], **kwargs)
    psnr = []
    for index in range(0, 200, 10):
        item = test[index]
        sr = np.asarray(Image.fromarray(item['img']).resize((128, 128), Image.BICUBIC))
        psnr.append(10 * np.log10(255 ** 2 / ((sr - 1. * item['gt']) ** 2).mean()))
        eyes = np.linalg.norm(item['landmarks'][1] - item['landmarks'][0])
        assert 34 < eyes < 46
    # 21.5 dB on all 200; a slip of the scale or an aliased LR is off by more
    assert 20.5 < np.mean(psnr) < 22.5
    assert test.num_skipped == 0


def test_jitter_moves_the_crop_and_its_landmarks_together(toy_root, build):
    toy = toy_root()
    options = dict(align='five_point', eye_share=0.3)
    plain = build(toy, **options)[2]
    faces = build(toy, jitter=dict(shift=0.1, angle=10.0), **options)
    again, other = faces[SampleKey(4, 2)], faces[SampleKey(5, 2)]
    assert np.array_equal(faces[SampleKey(4, 2)]['img'], again['img'])
    assert not np.array_equal(again['img'], other['img'])
    assert np.abs(again['landmarks'] - plain['landmarks']).max() > 0.5
    # the landmarks stay on the face: their distances do not change
    for item in (again, other):
        for one, two in ((0, 1), (0, 2), (3, 4)):
            assert np.linalg.norm(item['landmarks'][one] - item['landmarks'][two]) == \
                pytest.approx(np.linalg.norm(
                    plain['landmarks'][one] - plain['landmarks'][two]), abs=0.5)
    assert faces.protocol()['jitter'] == dict(shift=0.1, angle=10.0)


@pytest.mark.parametrize('options', [
    dict(jitter=dict(shift=0.1)), dict(jitter=dict(turn=1), align='five_point')])
def test_jitter_without_alignment_or_with_other_keys_is_refused(
        toy_root, build, options):
    with pytest.raises(ValueError, match='jitter is'):
        build(toy_root(), **options)
