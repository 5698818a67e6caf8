"""Several datasets of faces as one."""

import numpy as np
import pytest

from fdsr.datasets import ConcatFaces, SampleKey
from fdsr.engine.sampler import EpochSampler


def part(first, length, **options):
    return dict(type='fdsr.SyntheticFacesDataset', length=length, first=first, size=32,
                **options)


@pytest.fixture(scope='module')
def faces():
    return ConcatFaces([part(0, 2), part(10, 3)], pipeline=[dict(type='fdsr.FlipFace')])


def test_the_samples_follow_one_another(faces):
    assert [faces.sample_name(index) for index in range(len(faces))] == [
        inner.sample_name(index) for inner, count in zip(faces.datasets, (2, 3))
        for index in range(count)]
    assert len(faces) == 5
    np.testing.assert_array_equal(
        ConcatFaces([part(0, 2), part(10, 3)])[4]['img'],
        faces.datasets[1].load(2)['img'])


def test_the_pipeline_depends_on_epoch_and_position_alone(faces):
    mirrored = [[faces[SampleKey(epoch, index)]['mirrored'] for index in range(5)]
                for epoch in range(6)]
    assert len({tuple(row) for row in mirrored}) > 1
    assert mirrored[3] == [
        faces[SampleKey(3, index)]['mirrored'] for index in range(5)]


def test_a_resumed_stream_continues_it(faces):
    whole, resumed = EpochSampler(faces, seed=1), EpochSampler(faces, seed=1)
    resumed.start_at(7)
    one, two = iter(whole), iter(resumed)
    keys = [next(one) for _ in range(12)]
    assert keys[7:] == [next(two) for _ in range(5)]


def test_facts(faces):
    protocol = faces.protocol()
    assert protocol['kept'] == 5 and len(protocol['parts']) == 2
    assert faces.geometry() == dict(size=32, eye_share=0.3125)
    assert faces.fingerprint() != ConcatFaces([part(0, 2), part(11, 3)]).fingerprint()


def test_each_dataset_has_a_report_of_its_own(tmp_path):
    faces = ConcatFaces([part(0, 2, report_dir=tmp_path), part(10, 3, name='named',
                                                               report_dir=tmp_path)],
                        name='both', report_dir=tmp_path)
    for dataset, rows in zip(faces.datasets, (1, 2)):
        dataset.report.start([(f'face {row}', 'small', 'index') for row in range(rows)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'skipped_both_1.csv', 'skipped_named.csv']
    assert faces.num_skipped == 3


def test_different_crops_are_refused():
    with pytest.raises(ValueError, match='same size and eye share'):
        ConcatFaces([part(0, 2), part(10, 3, eye_share=0.25)])


def test_the_same_faces_twice_are_refused():
    with pytest.raises(ValueError, match='two of them are the same'):
        ConcatFaces([part(0, 2), part(0, 3)])


def test_no_dataset_is_refused():
    with pytest.raises(ValueError, match='expected datasets'):
        ConcatFaces([])
