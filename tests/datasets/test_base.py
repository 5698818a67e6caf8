"""Seeding, skipping and collating."""
import multiprocessing
import pickle
import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from fdsr.datasets.base import (
    BadSample,
    FaceDataset,
    SampleKey,
    collate_samples,
    seeded,
)
from fdsr.datasets.report import SkipReport
from fdsr.registry import FUNCTIONS


def draw(results):
    results['draws'] = (random.random(), np.random.random(), torch.rand(()).item())
    return results


class Numbers(FaceDataset):
    """Samples that are numbers; those in ``bad`` fail."""

    def __init__(self, length=20, bad=(), **kwargs):
        super().__init__(**kwargs)
        self.length, self.bad = length, set(bad)

    def __len__(self):
        return self.length

    def load(self, index):
        if index in self.bad:
            raise BadSample(f'sample {index}', 'it is, "bad",\nsaid twice')
        return dict(value=index, name=f'sample {index}')

    def protocol(self):
        return dict(length=self.length)


def test_seeded_depends_on_its_three_numbers_alone():
    def drawn(*key):
        with seeded(*key):
            return draw({})['draws']

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    others = [drawn(0, 2, 3), drawn(1, 0, 3), drawn(1, 2, 0), drawn(1, 3, 2)]
    assert len({drawn(1, 2, 3), *others}) == 5
    assert len(set(drawn(1, 2, 3))) == 3


def test_seeded_leaves_the_generators_as_they_were():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = [draw({})['draws'] for _ in range(2)]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    found = [draw({})['draws']]
    with pytest.raises(KeyError), seeded(0, 0, 0):
        draw({})
        raise KeyError
    assert found + [draw({})['draws']] == expected


def test_draws_follow_the_key_and_not_the_order(tmp_path):
    faces = Numbers(pipeline=[draw], seed=3, report_dir=tmp_path)
    first = faces[SampleKey(1, 4)]['draws']
    assert faces[SampleKey(0, 4)]['draws'] == faces[4]['draws'] != first
    assert faces[SampleKey(1, 4)]['draws'] == first
    assert Numbers(pipeline=[draw], seed=4)[SampleKey(1, 4)]['draws'] != first


def test_test_mode_draws_the_same_in_every_epoch():
    faces = Numbers(pipeline=[draw], test_mode=True)
    assert faces[SampleKey(0, 4)]['draws'] == faces[SampleKey(7, 4)]['draws']


def test_an_index_out_of_range_ends_an_iteration():
    faces = Numbers(length=3)
    assert [item['value'] for item in faces] == [0, 1, 2]
    assert faces[-1]['value'] == 2
    with pytest.raises(IndexError, match='which has 3'):
        faces[3]


def test_a_bad_sample_is_one_row_and_the_run_goes_on(tmp_path):
    faces = Numbers(bad=[5], report_dir=tmp_path, name='toy')
    assert faces[5] is None and faces[5] is None and faces[6]['value'] == 6
    rows = faces.report.rows()
    assert faces.report.path == tmp_path / 'skipped_toy.csv'
    assert rows == [dict(name='sample 5', reason='it is, "bad", said twice',
                         stage='load')]
    assert faces.num_skipped == 1


def test_too_many_bad_samples_stop_with_the_lists_path(tmp_path):
    faces = Numbers(bad=[1, 2, 3], max_bad_share=0.1, report_dir=tmp_path)
    assert faces[1] is None and faces[2] is None
    with pytest.raises(RuntimeError, match='3 of 20') as caught:
        faces[3]
    assert str(faces.report.path) in str(caught.value)
    assert 'sample 3' in str(caught.value)


def test_one_sample_may_be_bad_unless_the_share_is_nothing(tmp_path):
    faces = Numbers(bad=[1, 2], max_bad_share=0.01, report_dir=tmp_path)
    assert faces[1] is None
    with pytest.raises(RuntimeError):
        faces[2]
    with pytest.raises(RuntimeError):
        Numbers(bad=[1], max_bad_share=0, report_dir=tmp_path)[1]


def test_without_a_folder_there_still_is_a_list():
    faces = Numbers(bad=[1])
    faces[1]
    assert faces.report.path.is_file()
    shutil.rmtree(faces.report.path.parent)


def test_a_new_run_begins_a_new_list(tmp_path):
    Numbers(bad=[1], report_dir=tmp_path)[1]
    assert Numbers(bad=[2], report_dir=tmp_path).num_skipped == 0


def test_an_unwritable_report_dir_is_named(tmp_path):
    (tmp_path / 'file').touch()
    faces = Numbers(bad=[1], report_dir=tmp_path / 'file' / 'folder')
    with pytest.raises(OSError, match='report_dir'):
        faces[1]


def _add_rows(folder, first):
    report = SkipReport(folder, 'many')
    for number in range(first, first + 40):
        report.add(f'name {number}', 'reason')


def test_processes_share_the_list(tmp_path):
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=_add_rows, args=(tmp_path, first))
               for first in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    names = [row['name'] for row in SkipReport(tmp_path, 'many').rows('load')]
    assert sorted(names) == sorted(f'name {number}' for number in range(80))


def test_a_report_reads_only_what_came_since(tmp_path):
    one, other = SkipReport(tmp_path, 'shared'), SkipReport(tmp_path, 'shared')
    one.start([('listed', 'no row', 'index')])
    assert [one.add('a', 'broken'), other.add('ü', 'too'), one.add('c', 'too')] == [
        1, 2, 3]
    text = one.path.read_bytes()
    # a list of the same length, but for what was read of it already
    one.path.write_bytes(text.replace(b'a,broken', b'b,broken'))
    assert one.add('b', 'broken') == other.add('c', 'too') == 4
    assert one.has('a') and other.has('c') and len(one.rows('load')) == 4
    one.start()
    assert other.add('d', 'in another run') == 1 and not other.has('c')


def test_workers_skip_count_and_stop(tmp_path):
    faces = Numbers(bad=[0, 1, 2, 3], max_bad_share=0.2, report_dir=tmp_path)
    batches = list(DataLoader(faces, 4, num_workers=2, collate_fn=collate_samples))
    assert batches[0] == {'inputs': [], 'data_samples': []}
    assert [value for batch in batches[1:] for value in batch['value']] == \
        list(range(4, 20))
    assert faces.num_skipped == 4
    faces = Numbers(bad=[0, 7, 8, 9], max_bad_share=0.1, report_dir=tmp_path)
    with pytest.raises(RuntimeError, match='skipped_Numbers.csv'):
        # one worker: torch waits five seconds for each that met an exception
        list(DataLoader(faces, 4, num_workers=1, collate_fn=collate_samples))


def test_a_bad_sample_survives_pickling():
    bad = pickle.loads(pickle.dumps(BadSample('a', 'b')))
    assert (bad.name, bad.reason, str(bad)) == ('a', 'b', 'a: b')


def test_a_transform_that_returns_nothing_is_named(tmp_path):
    faces = Numbers(pipeline=[lambda results: None], report_dir=tmp_path)
    assert faces[0] is None
    assert 'returned nothing' in faces.report.rows()[0]['reason']


def test_collate_drops_what_was_skipped():
    batch = [dict(inputs=torch.ones(3), data_samples=BaseDataElement()), None,
             dict(inputs=torch.zeros(3), data_samples=BaseDataElement())]
    found = collate_samples(batch)
    assert len(found['inputs']) == len(found['data_samples']) == 2
    assert torch.equal(found['inputs'][1], torch.zeros(3))
    assert FUNCTIONS.get('fdsr.collate_samples') is collate_samples


@pytest.mark.parametrize('kwargs', [dict(max_bad_share=1.5), dict(seed=-1)])
def test_impossible_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        Numbers(**kwargs)


def test_metainfo_is_plain():
    faces = Numbers(pipeline=[dict(type='DownsampleToLR', scale=4)], name='toy')
    assert faces.metainfo == dict(
        name='toy', protocol=dict(length=20),
        pipeline=['LR = HR / 4 by PIL bicubic (a = -0.5, anti-aliased), rounded to '
                  'uint8'])
