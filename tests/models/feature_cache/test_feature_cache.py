"""Frozen features equal the computed ones, or are refused."""

import copy
import json
import pickle
import runpy
import sys
from pathlib import Path

import pytest
import torch

from fdsr.datasets.base import collate_samples
from fdsr.models.backbones import Bicubic, DictionaryTeacher, DistilledStudent
from fdsr.models.feature_cache import FeatureStore
from fdsr.models.feature_cache.features import FrozenFeatures
from fdsr.models.feature_cache.store import FeatureWriter
from fdsr.models.restorers.teacher import build_teacher
from fdsr.preparation.feature_cache import (
    freeze_student_features,
    freeze_teacher_features,
)
from fdsr.registry import DATASETS, MODELS
from tests import toy

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'freeze_features.py'
TAP = 'decoder.to_rgb:input'
PERCEPTUAL = dict(type='fdsr.PerceptualLoss', encoder='vgg16', pretrained=None,
                  layers={'relu1_1': 1.0, 'relu2_1': 1.0})
AUTOCAST = dict(type='fdsr.AutocastOptimWrapper', optimizer=dict(type='Adam', lr=1e-3))


def with_mirrored(config, folders=()):
    """The toy's pipeline as frozen features need it."""
    pipeline = config.train_dataloader.dataset.pipeline
    pipeline[-1].meta_keys = ['name', 'mirrored']
    if folders:
        config.model.frozen_features = folders
    return config


def read(store, name, mirrored):
    """Every feature of one face."""
    return {key: store.read(key, [name], [mirrored])[0] for key in store.shapes}


def student_config(folder, folders=(), **changes):
    config = toy.restorer_config(
        folder, optim_wrapper=AUTOCAST, model__perceptual_loss=PERCEPTUAL, **changes)
    return with_mirrored(config, folders)


def test_what_is_read_is_what_would_be_computed(tmp_path):
    config = student_config(tmp_path / 'run')
    torch.manual_seed(0)
    freeze_student_features(config, tmp_path / 'store')
    store = pickle.loads(pickle.dumps(FeatureStore(tmp_path / 'store')))
    assert len(store.names) == 12 and 'perceptual_relu2_1' in store.shapes
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    for mirrored in (False, True):
        pipeline = copy.deepcopy(config.train_dataloader.dataset.pipeline)
        pipeline[0].prob = float(mirrored)
        dataset = DATASETS.build(
            dict(config.train_dataloader.dataset, pipeline=pipeline))
        for index in (0, 7):
            sample = dataset[index]
            lr = sample['inputs'][None] / 255
            gt = sample['data_samples'].gt_img[None] / 255
            found = read(store, sample['data_samples'].name, mirrored)
            with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
                for level, feature in enumerate(model.generator.encode(lr)):
                    torch.testing.assert_close(
                        found[f'encoded_{level}'], feature[0].bfloat16(), rtol=0.02,
                        atol=0.02)
                for layer, feature in model.perceptual_loss.trunk(gt).items():
                    torch.testing.assert_close(
                        found[f'perceptual_{layer}'], feature[0].bfloat16(), rtol=0.02,
                        atol=0.02)
    other = read(store, store.names[0], True)['encoded_0']
    assert not torch.equal(other, read(store, store.names[0], False)['encoded_0'])


def test_training_is_the_same_and_computes_nothing_frozen(tmp_path, monkeypatch):
    plain = toy.train(student_config(tmp_path / 'plain'))
    store = str(tmp_path / 'store')
    torch.manual_seed(1)
    reference = student_config(tmp_path / 'frozen', [store])
    # the perceptual weights are random: the store takes those of this very model
    model = MODELS.build(student_config(tmp_path / 'unused').model)
    monkeypatch.setattr('fdsr.preparation.feature_cache.MODELS.build',
                        _once(model, MODELS.build))
    freeze_student_features(student_config(tmp_path / 'unused'), store)
    monkeypatch.undo()
    called, encode = [], DistilledStudent.encode
    monkeypatch.setattr(
        DistilledStudent, 'encode',
        lambda self, lr: called.append(self.training) or encode(self, lr))
    frozen = toy.train(reference)
    assert called and not any(called)  # in the validation at the end alone
    expected = dict(plain.model.generator.named_parameters())
    for name, value in frozen.model.generator.named_parameters():
        assert not torch.isnan(value).any()
        assert (value - expected[name]).abs().max() < 0.02, name


def test_only_the_faces_that_the_loss_compares_are_read(tmp_path):
    config = student_config(tmp_path / 'run')
    freeze_student_features(config, tmp_path / 'store')
    batch = MODELS.build(dict(type='fdsr.FacePreprocessor'))(collate_samples(
        [DATASETS.build(config.train_dataloader.dataset)[index] for index in (3, 5)]))
    student = MODELS.build(toy.STUDENT)
    found = {}
    for faces in (None, 1):
        loss = MODELS.build(dict(config.model.perceptual_loss, faces=faces))
        frozen = FrozenFeatures([tmp_path / 'store'], student, loss)
        found[faces] = frozen.perceptual(batch['data_samples'])
        assert len(frozen.encoded(batch['data_samples'], batch['inputs'])[0]) == 2
    for layer, features in found[None].items():
        assert len(features) == 2 and torch.equal(found[1][layer], features[:1])


def _once(model, build):
    """Builds the parts of a finished model instead of new ones."""
    def found(config):
        kind = config['type']
        if kind == 'fdsr.DistilledStudent':
            return model.generator
        return model.perceptual_loss if kind == 'fdsr.PerceptualLoss' else build(config)

    return found


def test_a_teacher_whose_features_are_there_is_not_run(tmp_path, monkeypatch):
    checkpoint = toy.trained_teacher(tmp_path / 'teacher')
    wrappers = dict(constructor='fdsr.GroupOptimWrapperConstructor', student=AUTOCAST,
                    discriminator=AUTOCAST)
    config = with_mirrored(toy.distiller_config(
        tmp_path / 'run', checkpoint, optim_wrapper=wrappers))
    teacher, _ = build_teacher(str(checkpoint))
    freeze_student_features(config, tmp_path / 'student')
    freeze_teacher_features(teacher, [TAP], config, tmp_path / 'features')
    folders = [str(tmp_path / 'student'), str(tmp_path / 'features')]
    config = with_mirrored(toy.distiller_config(
        tmp_path / 'frozen', checkpoint, optim_wrapper=wrappers), folders)
    runs, transfer = [], DictionaryTeacher.transfer
    monkeypatch.setattr(
        DictionaryTeacher, 'transfer',
        lambda self, *args: runs.append(1) or transfer(self, *args))
    runner = toy.train(config)
    # once, to compare the sizes of the features
    assert len(runs) == 1 and runner.iter == 2


def test_features_of_other_networks_are_refused(tmp_path):
    config = student_config(tmp_path / 'run')
    freeze_student_features(config, tmp_path / 'store')
    generator = MODELS.build(toy.STUDENT)
    FrozenFeatures([tmp_path / 'store'], generator)
    with torch.no_grad():
        next(generator.encoder.parameters()).add_(1)
    with pytest.raises(ValueError, match='computed by another encoder'):
        FrozenFeatures([tmp_path / 'store'], generator)
    with pytest.raises(ValueError, match='Bicubic has no frozen encoder'):
        FrozenFeatures([tmp_path / 'store'], Bicubic(4))
    trained = dict(toy.STUDENT, encoder=dict(type='fdsr.TinyEncoder', frozen=False))
    with pytest.raises(ValueError, match='no frozen encoder'):
        freeze_student_features(
            student_config(tmp_path / 'b', model__generator=trained), tmp_path / 'c')


def test_an_unfinished_store_is_refused(tmp_path):
    writer = FeatureWriter(tmp_path, ['a', 'b'])
    images = torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 2 / 255)])
    writer.write([0, 3], {'x': torch.arange(8.0).reshape(2, 1, 2, 2)}, images,
                 images[..., :1, :1])
    with pytest.raises(FileNotFoundError, match='not finished'):
        FeatureStore(tmp_path)
    writer.finish(dict(encoder='e'))
    store = FeatureStore(tmp_path)
    found = store.read('x', ['b', 'a'], [True, False])
    assert found.dtype == torch.bfloat16
    assert found.flatten().tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    with pytest.raises(KeyError, match='not among the 2 faces'):
        store.read('x', ['c'], [False])
    store.check(['a', 'b'], [False, True], images)
    with pytest.raises(ValueError, match='of a were computed from another image'):
        store.check(['a', 'b'], [False, True], images.flip(0))
    (tmp_path / 'x.bin').write_bytes(b'short')
    with pytest.raises(ValueError, match='x.bin has 5 bytes, expected 32'):
        FeatureStore(tmp_path)
    with pytest.raises(OSError, match='x.bin ends before the features of b'):
        store.read('x', ['b'], [True])


def test_features_of_another_crop_are_refused(tmp_path):
    """The names are the same, but the stored features belong to another crop."""
    store = tmp_path / 'store'
    freeze_student_features(student_config(tmp_path / 'run'), store)
    config = student_config(tmp_path / 'other', [str(store)],
                            train_dataloader__dataset__eye_share=0.2)
    config.model.perceptual_loss = None
    with pytest.raises(ValueError, match='computed from another image'):
        toy.train(config)


def degraded(config, **step):
    """A config with another step from HR to LR."""
    config.train_dataloader.dataset.pipeline[2] = dict(scale=toy.SCALE, **step)
    return config


BLIND = dict(type='fdsr.BlindDegradation', steps=[dict(type='fdsr.AddNoise')])


@pytest.mark.parametrize('made, read, wrong', [
    ({}, {}, False), ({}, dict(BLIND, seed=1), True), ({}, BLIND, True),
    (dict(BLIND, seed=1), dict(BLIND, seed=1), False),
    (dict(BLIND, seed=1), dict(BLIND, seed=2), True),
    (dict(BLIND, seed=1), {}, True), ({}, dict(scale=8), True)])
def test_the_features_of_another_lr_are_refused(tmp_path, made, read, wrong):
    """The encoder's maps depend on LR; the perceptual features of GT do not."""
    plain = dict(type='fdsr.DownsampleToLR')
    store = tmp_path / 'store'
    freeze_student_features(
        degraded(student_config(tmp_path / 'run'), **{**plain, **made}), store)
    config = degraded(student_config(tmp_path / 'other'), **plain)
    config.train_dataloader.dataset.pipeline[2].update(read)
    batch = MODELS.build(dict(type='fdsr.FacePreprocessor'))(collate_samples(
        [DATASETS.build(config.train_dataloader.dataset)[3]]))
    frozen = FrozenFeatures([store], MODELS.build(toy.STUDENT))
    assert frozen.perceptual(batch['data_samples'])
    if not wrong:
        assert frozen.encoded(batch['data_samples'], batch['inputs'])
        return
    words = 'degradation: Gaussian noise' if made else 'LR = HR / 4 by PIL bicubic'
    with pytest.raises(ValueError, match=f'from another LR: .*{words}.*between epochs'):
        frozen.encoded(batch['data_samples'], batch['inputs'])


def test_a_training_on_another_lr_stops(tmp_path):
    """Both restorers check LR, for the student's and the teacher's features."""
    checkpoint = toy.trained_teacher(tmp_path / 'teacher')
    config = with_mirrored(toy.distiller_config(tmp_path / 'run', checkpoint))
    freeze_student_features(config, tmp_path / 'student')
    freeze_teacher_features(build_teacher(str(checkpoint))[0], [TAP], config,
                            tmp_path / 'features')
    for number, (name, make) in enumerate((
            ('student', lambda folder: toy.restorer_config(folder)),
            ('student', lambda folder: toy.distiller_config(folder, checkpoint)),
            ('features', lambda folder: toy.distiller_config(folder, checkpoint)))):
        other = with_mirrored(make(tmp_path / str(number)), [str(tmp_path / name)])
        with pytest.raises(ValueError, match='computed from another LR'):
            toy.train(degraded(other, **BLIND))


def test_a_store_of_an_earlier_format_is_refused(tmp_path):
    store = tmp_path / 'store'
    freeze_student_features(student_config(tmp_path / 'run'), store)
    index = store / 'store.json'
    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, 'format': 0}))
    with pytest.raises(ValueError, match='expected format 1 .*found format 0'):
        FeatureStore(store)
    del content['marks']
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='missing: marks. Recompute'):
        FeatureStore(store)


def small_store(folder):
    """A store of two faces with features of (2, 3, 3)."""
    writer = FeatureWriter(folder, ['a', 'b'])
    draws = torch.Generator().manual_seed(0)
    feature = torch.rand(4, 2, 3, 3, generator=draws)
    images = torch.rand(4, 3, 8, 8, generator=draws)
    writer.write([0, 1, 2, 3], {'encoded_0': feature}, images, images[..., ::2, ::2])
    writer.finish(dict(encoder='x'))
    return feature.bfloat16()


def test_a_flipped_bit_of_a_feature_is_found(tmp_path):
    feature = small_store(tmp_path / 'store')
    file = tmp_path / 'store' / 'encoded_0.bin'
    data = bytearray(file.read_bytes())
    data[40] ^= 16  # of row 1, which has the bytes from 36 to 71
    file.write_bytes(data)
    store = FeatureStore(tmp_path / 'store')
    assert torch.equal(store.read('encoded_0', ['a', 'b'], [False, True]),
                       feature[[0, 3]])
    with pytest.raises(ValueError, match=r'encoded_0\.bin: the features of a differ'):
        store.read('encoded_0', ['a'], [True])


@pytest.mark.parametrize('change, message', [
    (lambda text: text.replace('"a"', '"c"'), 'differs from its digest'),
    (lambda text: text.replace('digest', 'digesu'), 'differs from its digest'),
    (lambda text: text[:-9], 'is damaged'), (lambda text: '[]', 'is damaged'),
    (lambda text: '[' * 100_000, 'is damaged'),
    (lambda text: text.replace('"format": 2', '"format": 3'), 'found format 3')])
def test_a_damaged_index_of_features_is_named(tmp_path, change, message):
    small_store(tmp_path / 'store')
    index = tmp_path / 'store' / 'store.json'
    index.write_text(change(index.read_text()))
    with pytest.raises(ValueError, match=rf'store\.json.*{message}'):
        FeatureStore(tmp_path / 'store')


def test_a_store_without_checksums_is_read(tmp_path):
    feature = small_store(tmp_path / 'store')
    index = tmp_path / 'store' / 'store.json'
    content = json.loads(index.read_text())
    old = {key: value for key, value in content.items() if key not in (
        'digest', 'crcs')}
    index.write_text(json.dumps({**old, 'format': 1}))
    found = FeatureStore(tmp_path / 'store').read('encoded_0', ['b'], [False])
    assert torch.equal(found[0], feature[2])
    for field, value in (('names', 5), ('sums', [1]), ('shapes', {'encoded_0': 'x'}),
                         ('facts', []), ('marks', [None] * 4)):
        index.write_text(json.dumps({**old, 'format': 1, field: value}))
        with pytest.raises(ValueError, match=rf'store\.json is damaged: {field}'):
            FeatureStore(tmp_path / 'store')


def test_an_lr_of_each_epoch_is_not_frozen(tmp_path):
    config = degraded(student_config(tmp_path / 'run'), **BLIND)
    with pytest.raises(ValueError, match='another LR of a face in each epoch'):
        freeze_student_features(config, tmp_path / 'store')
    assert not (tmp_path / 'store').exists()


def test_a_pipeline_without_mirrored_is_refused(tmp_path):
    store = tmp_path / 'store'
    freeze_student_features(student_config(tmp_path / 'run'), store)
    config = student_config(tmp_path / 'other', [str(store)])
    config.model.perceptual_loss = None
    config.train_dataloader.dataset.pipeline[-1].meta_keys = ['name']
    with pytest.raises(ValueError, match="need 'mirrored' .* meta_keys"):
        toy.train(config)


def test_the_tool_writes_what_a_training_reads(tmp_path, monkeypatch):
    checkpoint = toy.trained_teacher(tmp_path / 'teacher')
    config = with_mirrored(toy.distiller_config(tmp_path / 'unused', checkpoint))
    for key in ('work_dir', 'experiment_name'):
        config.pop(key)
    config.dump(tmp_path / 'distill.py')
    monkeypatch.syspath_prepend(str(TOOL.parent))
    for out, rest in (('student', ()), ('teacher', ('--teacher', str(checkpoint)))):
        monkeypatch.setattr(sys, 'argv', [
            str(TOOL), str(tmp_path / 'distill.py'), '--out', str(tmp_path / out),
            *rest])
        runpy.run_path(str(TOOL), run_name='__main__')
    folders = [str(tmp_path / 'student'), str(tmp_path / 'teacher')]
    config = with_mirrored(toy.distiller_config(tmp_path / 'run', checkpoint), folders)
    assert toy.train(config).iter == 2
