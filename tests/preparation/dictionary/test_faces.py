"""What a dictionary is built from, taken out of a config."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from fdsr.geometry.components import FFHQ_EYE_SHARE, boxes_from_five_points
from fdsr.preparation.dictionary.faces import (
    FaceBatches,
    encoder_of,
    teacher_settings,
    training_faces,
)


def config_of(**generator) -> Config:
    return Config(dict(
        model=dict(generator=generator),
        train_dataloader=dict(dataset=dict(
            type='fdsr.SyntheticFacesDataset', length=5, size=32,
            pipeline=[dict(type='fdsr.FlipFace', prob=1.0)]))))


def item(side: int = 32, value: int = 0) -> dict:
    points = np.array([[10, 12], [20, 12], [15, 17], [11, 22], [19, 22]], np.float32)
    return dict(img=np.full((side, side, 3), value, np.uint8), landmarks=points,
                name=f'face {value}')


def test_settings_have_the_teachers_defaults():
    settings = teacher_settings(config_of(type='DictionaryTeacher', size=32))
    assert settings['layout'] == 'B' and settings['eye_share'] == FFHQ_EYE_SHARE
    with pytest.raises(ValueError, match='Unknown encoder'):
        encoder_of({**settings, 'encoder': dict(arch='resnet')})
    encoder = encoder_of(
        {**settings, 'encoder': dict(type='fdsr.TinyEncoder'), 'layout': 'A'})
    assert (encoder.arch, encoder.layout) == ('tiny', 'A')


def test_the_dictionary_need_not_exist_yet():
    settings = teacher_settings(config_of(
        type='fdsr.DictionaryTeacher', size=32, eye_share=0.3,
        dictionary=dict(file='not/made/yet.pth')))
    assert settings['eye_share'] == 0.3


@pytest.mark.parametrize('generator, found', [
    (dict(type='fdsr.DistilledStudent'), 'found fdsr.DistilledStudent'),
    (dict(), 'found none'), (dict(type='DictionaryTeacher'), 'generator.size')])
def test_a_config_without_a_teacher_is_refused(generator, found):
    with pytest.raises(ValueError, match=found):
        teacher_settings(config_of(**generator))


def test_a_mistyped_teacher_names_the_nearest():
    with pytest.raises(KeyError, match='DictionaryTeacher'):
        teacher_settings(config_of(type='DictionaryTeecher', size=32))


def test_faces_come_without_the_pipeline():
    dataset = training_faces(config_of(type='DictionaryTeacher', size=32))
    assert set(dataset[0]) == {'img', 'landmarks', 'name'}
    with pytest.raises(ValueError, match='train_dataloader.dataset'):
        training_faces(Config(dict(model=dict())))


def test_batches_are_pictures_and_boxes_in_order():
    faces = FaceBatches([item(value=value) for value in (0, 51, 255)], 32, batch_size=2)
    (first, boxes), (second, _) = faces
    assert first.shape == (2, 3, 32, 32) and second.shape == (1, 3, 32, 32)
    assert first.dtype == torch.float32
    torch.testing.assert_close(first[1], torch.full((3, 32, 32), 0.2))
    assert float(second.max()) == 1
    np.testing.assert_array_equal(
        boxes[0], boxes_from_five_points(item()['landmarks'], 32))
    assert faces.eye_share == pytest.approx(10 / 32)


def test_faces_are_drawn_by_the_seed():
    many = [item(value=value) for value in range(100)]

    def drawn(seed):
        batches = FaceBatches(many, 32, max_faces=10, seed=seed)
        return [round(float(image.mean()) * 255) for images, _ in batches
                for image in images]

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 10
    assert len(FaceBatches(many, 32, max_faces=1000)) == 100


def test_workers_bring_the_same_faces():
    many = [item(value=value) if value % 3 else None for value in range(10)]
    plain, workers = (FaceBatches(many, 32, 3, num_workers=n) for n in (0, 2))
    for ours, theirs in zip(workers, plain):
        assert torch.equal(ours[0], theirs[0])
    list(workers), list(plain)
    assert workers.skipped == plain.skipped == 4
    assert workers.indices.tolist() == [1, 2, 4, 5, 7, 8]


def test_faces_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'face 7.*\(64, 64, 3\).*\(32, 32, 3\)'):
        list(FaceBatches([item(value=7)], 64))
