"""A run that was interrupted ends with the same weights, bit for bit."""

import pytest
import torch

from tests import toy


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


def config_of(kind, folder, teacher, **changes):
    if kind == 'restorer':
        return toy.restorer_config(folder, toy.TEACHER, **changes)
    if kind == 'ema':
        return toy.restorer_config(
            folder, custom_hooks=[dict(type='fdsr.TrainedEMAHook', name='generator',
                                       momentum=0.1)], **changes)
    return toy.distiller_config(folder, teacher, **changes)


@pytest.mark.parametrize('kind', ['restorer', 'ema', 'distiller'])
def test_three_and_three_are_six(kind, tmp_path, teacher):
    whole = toy.train(config_of(kind, tmp_path / 'whole', teacher,
                                train_cfg__max_iters=6))
    toy.train(config_of(kind, tmp_path / 'parts', teacher, train_cfg__max_iters=3))
    resumed = toy.train(config_of(kind, tmp_path / 'parts', teacher,
                                  train_cfg__max_iters=6, resume=True))
    assert resumed.iter == 6
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key


def test_the_data_are_not_replayed(tmp_path, monkeypatch):
    from fdsr.datasets import SyntheticFacesDataset
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    drawn = []
    load = SyntheticFacesDataset.load

    def counting(self, index):
        drawn.append(index)
        return load(self, index)

    monkeypatch.setattr(SyntheticFacesDataset, 'load', counting)
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=4, resume=True))
    assert drawn[2:] == [0, 1, 2], "more than one batch, and the validation, was read"


def test_checkpoints_hold_plain_values_only(tmp_path):
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    content = torch.load(tmp_path / 'iter_3.pth', weights_only=True)
    scalars = content['message_hub']['log_scalars']
    assert len(scalars['train/loss']['__history_buffer__'][0]) == 3


def test_another_sampler_cannot_resume(tmp_path):
    toy.train(toy.restorer_config(tmp_path, train_cfg__max_iters=3))
    config = toy.restorer_config(
        tmp_path, train_cfg__max_iters=4, resume=True,
        train_dataloader__sampler=dict(type='InfiniteSampler', _delete_=True))
    with pytest.raises(TypeError, match='fdsr.EpochSampler'):
        toy.train(config)
