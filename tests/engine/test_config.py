"""Configs, and what the command line changes in them."""

import os
from pathlib import Path

import pytest

from fdsr.engine.config import (
    check_writable,
    datasets_of,
    default_work_dir,
    load_config,
)

CONFIG = """
data_root = 'data/faces'
randomness = dict(seed=7)
train_dataloader = dict(batch_size=8, dataset=dict(
    type='fdsr.VGGFace2Dataset', data_root=data_root, split='train'))
val_dataloader = dict(batch_size=1, dataset=dict(
    type='fdsr.VGGFace2Dataset', data_root='data/others', seed=3, report_dir='kept'))
test_dataloader = dict(batch_size=1, dataset=dict(
    type='fdsr.SyntheticFacesDataset', length=4, pipeline=[
        dict(type='fdsr.ComponentBoxes'),
        dict(type='fdsr.DownsampleToLR', scale=8)]))
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'some_run.py'
    path.write_text(CONFIG)
    return path


def test_data_root_replaces_that_of_every_data_set_that_has_one(path):
    config = load_config(path, data_root='/faces')
    assert config.train_dataloader.dataset.data_root == '/faces'
    assert config.val_dataloader.dataset.data_root == '/faces'
    assert 'data_root' not in config.test_dataloader.dataset
    assert load_config(path).val_dataloader.dataset.data_root == 'data/others'


def test_options_win_over_everything(path):
    config = load_config(path, data_root='/faces', cfg_options={
        'train_dataloader.dataset.data_root': '/mine',
        'test_dataloader.dataset.pipeline.1.scale': 4, 'env_cfg.cudnn_benchmark': 1})
    assert config.train_dataloader.dataset.data_root == '/mine'
    assert config.val_dataloader.dataset.data_root == '/faces'
    assert config.test_dataloader.dataset.pipeline[1].scale == 4
    assert config.env_cfg.cudnn_benchmark == 1


@pytest.mark.parametrize('config, place', [
    ('configs/distill.py', 'distill'),
    ('configs/reduced/distill.py', 'reduced/distill'),
    ('/a/configs/b/configs/c/d.e.py', 'c/d.e'), ('elsewhere/run.py', 'run'),
    ('elsewhere/configs.py', 'configs')])
def test_no_two_configs_share_a_work_dir(config, place):
    assert default_work_dir(config) == os.path.join('work_dirs', place)


def test_the_work_dir_is_made(path):
    assert load_config(path).work_dir == os.path.join('work_dirs', 'some_run')
    assert Path('work_dirs/some_run').is_dir()
    assert load_config(path, cfg_options=dict(work_dir='there')).work_dir == 'there'
    given = load_config(path, 'x', 'here', cfg_options=dict(work_dir='there'))
    assert given.work_dir == 'here' and Path('here').is_dir()
    assert not list(Path('here').iterdir()), 'the probe was left behind'


def test_data_sets_get_the_seed_and_the_place_for_their_reports(path):
    config = load_config(path, work_dir='work')
    train, val, test = datasets_of(config)
    assert (train.seed, train.report_dir) == (7, 'work')
    assert (val.seed, val.report_dir) == (3, 'kept')
    assert (test.seed, test.report_dir) == (7, 'work')


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.py.*configs/'):
        load_config(tmp_path / 'nowhere.py')


def test_a_work_dir_below_a_file_is_refused(path):
    with pytest.raises(PermissionError, match=r'some_run\.py/work .*--work-dir'):
        load_config(path, work_dir=str(path / 'work'))


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_work_dir_is_refused(tmp_path):
    folder = tmp_path / 'locked'
    folder.mkdir(mode=0o555)
    with pytest.raises(PermissionError, match='locked .*Permission denied.*--work-dir'):
        check_writable(folder)


def test_data_sets_inside_wrappers_are_reached(path):
    path.write_text(CONFIG + """
train_dataloader = dict(dataset=dict(type='mmengine.ConcatDataset', datasets=[
    dict(type='fdsr.VGGFace2Dataset', data_root='data/a'),
    dict(type='mmengine.RepeatDataset', times=2, dataset=dict(
        type='fdsr.VGGFace2Dataset', data_root='data/b'))]))
""")
    config = load_config(path, data_root='/faces')
    wrapper = config.train_dataloader.dataset
    inner = [wrapper.datasets[0], wrapper.datasets[1].dataset]
    for dataset in inner:
        assert dataset.data_root == '/faces' and dataset.seed == 7
        assert dataset.report_dir == config.work_dir
    assert set(wrapper) == {'type', 'datasets'}
    assert list(datasets_of(config))[:2] == inner


CONCAT = CONFIG + """
train_dataloader = dict(dataset=dict(type='fdsr.ConcatFaces', datasets=[
    dict(type='fdsr.VGGFace2Dataset', data_root='data/a'),
    dict(type='fdsr.VGGFace2Dataset', data_root='data/b')]))
val_dataloader = test_dataloader = None
"""


def test_several_roots_go_to_the_datasets_in_order(path):
    path.write_text(CONCAT)
    whole = load_config(path, data_root=['/one', '/two']).train_dataloader.dataset
    assert [one.data_root for one in whole.datasets] == ['/one', '/two']
    assert whole.seed == 7 and all(one.seed == 7 for one in whole.datasets)
    assert 'data_root' not in whole


def test_another_number_of_roots_is_refused(path):
    path.write_text(CONCAT)
    with pytest.raises(ValueError, match='given 3 times.*reads 2 dataset'):
        load_config(path, data_root=['/one', '/two', '/three'])


def test_a_loader_without_a_dataset_is_named(path):
    path.write_text(CONFIG + 'val_dataloader = dict(_delete_=True, batch_size=4)')
    with pytest.raises(ValueError, match='val_dataloader has no dataset'):
        load_config(path)


# Files that editors damage

def test_a_byte_order_mark_is_ignored(path):
    """In the config and in its base, as some editors of Windows write it."""
    base = path.with_name('base.py')
    base.write_text(CONFIG, 'utf-8-sig')
    path.write_text("_base_ = 'base.py'\nrandomness = dict(seed=8)\n", 'utf-8-sig')
    config = load_config(path)
    assert config.randomness.seed == 8 and config.train_dataloader.batch_size == 8
    config.dump('dumped.py')
    assert load_config('dumped.py').randomness.seed == 8


@pytest.mark.parametrize('content, message', [
    (b'model = dict(', 'SyntaxError'), (b'a = tru', "NameError: name 'tru'"),
    (b'a = 1\0', 'null'), ('a = "ä"'.encode('latin-1'), 'UnicodeDecodeError'),
    (b'_base_ = "nowhere.py"', 'nowhere.py')])
def test_a_broken_config_is_named(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'some_run.py cannot be read.*{message}'):
        load_config(path)
