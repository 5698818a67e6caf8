"""Whole degradations: their order, and that a face's LR can be had again."""
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fdsr.datasets.base import FaceDataset, SampleKey
from fdsr.datasets.transforms import (
    AddNoise,
    BlindDegradation,
    BlurFace,
    CompressJPEG,
    DegradationStep,
    DownsampleToLR,
    FlipFace,
    ShrinkFace,
)
from fdsr.datasets.transforms.blind_degradation import RECIPES
from fdsr.datasets.transforms.degradation_steps import random_state
from fdsr.engine.sampler import EpochSampler
from tests import toy

SIDE = 64


def sample(name='n0', seed=0, side=SIDE):
    draws = np.random.RandomState(seed)
    noise = draws.randint(0, 256, (side // 4, side // 4, 3)).astype(np.uint8)
    img = np.array(Image.fromarray(noise).resize((side, side), Image.BICUBIC))
    landmarks = np.array([[20, 24], [44, 25], [31, 38], [23, 47], [42, 48]], np.float32)
    return dict(img=img, landmarks=landmarks, name=name)


def lr_of(name='n0', steps='dfdnet', seed=0, **arguments):
    return BlindDegradation(steps, 8, seed, **arguments)(sample(name))['img']


class Faces(FaceDataset):
    """Six faces, or those of them from ``first`` on."""

    def __init__(self, first=0, **arguments):
        self.first = first
        super().__init__(**arguments)

    def __len__(self):
        return 6 - self.first

    def load(self, index):
        index += self.first
        return sample(f'n{index}', index)

    def protocol(self):
        return {}


def pipeline(seed=None, steps='gfpgan'):
    return [dict(type='FlipFace'),
            dict(type='BlindDegradation', steps=steps, scale=8, seed=seed)]


@pytest.mark.parametrize('recipe', list(RECIPES))
@pytest.mark.parametrize('scale', [8, 1])
def test_lr_has_its_size_whatever_r_was(recipe, scale):
    degradation = BlindDegradation(recipe, scale)
    np.random.seed(0)
    sides = set()
    for _ in range(8):
        item = degradation(sample())
        assert item['img'].shape == (SIDE // scale, SIDE // scale, 3)
        assert item['img'].dtype == np.uint8
        assert np.array_equal(item['gt'], sample()['img'])
        sides.add(degradation.degrade(item['gt'], random_state('', None)).shape)
    assert len(sides) > 3 and degradation.scale == scale


def test_without_steps_it_is_the_bicubic_downsampling():
    expected = DownsampleToLR(8)(sample())
    found = BlindDegradation([], 8)(sample())
    assert np.array_equal(found['img'], expected['img'])
    assert np.array_equal(found['gt'], expected['gt'])


def test_degraded_pictures_are_brought_to_lr_by_pil():
    degradation = BlindDegradation('dfdnet', 8, seed=5)
    degraded = degradation.degrade(sample()['img'], random_state('n0', 5))
    assert degraded.dtype == np.uint8 and degraded.shape != (8, 8, 3)
    expected = Image.fromarray(degraded).resize((8, 8), Image.BICUBIC)
    assert np.array_equal(lr_of(seed=5), np.asarray(expected))


class Recorded(DegradationStep):
    """A step that writes down when it comes."""

    seen = []

    def degrade(self, img, draws):
        self.seen.append(self)
        return img


def test_steps_come_in_their_order():
    first, second = Recorded(), Recorded()
    Recorded.seen.clear()
    BlindDegradation([second, first, second], 8, 0)(sample())
    assert Recorded.seen == [second, first, second]


def test_dfdnet_is_blur_then_size_then_noise_then_jpeg():
    """Equation ((I * k) ↓ r + n) JPEG by hand, from the same draws."""
    steps = BlindDegradation('dfdnet').steps
    assert [type(step) for step in steps] == [
        BlurFace, ShrinkFace, AddNoise, CompressJPEG]
    draws, img = random_state('n0', 0), sample()['img'].astype(np.float32)
    for step in steps:
        assert draws.random_sample() < step.prob
        img = step.degrade(img, draws)
    found = BlindDegradation('dfdnet').degrade(sample()['img'], random_state('n0', 0))
    assert np.array_equal(found, img.astype(np.uint8))


def test_published_figures():
    _, shrink, noise, jpeg = BlindDegradation('dfdnet').steps
    assert (shrink.r, noise.sigma, jpeg.quality) == ((1, 8), (0, 15), (40, 80))
    blur, shrink, noise, jpeg = BlindDegradation('dfdnet_release').steps
    assert (blur.sigma, blur.size, blur.prob) == ((0.3, 2), (3, 35), 0.9)
    assert (shrink.r, noise.sigma, jpeg.quality) == ((2, 10), (1, 10), (40, 80))
    assert (shrink.prob, noise.prob, jpeg.prob) == (0.95, 0.9, 0.6)
    blur, shrink, noise, jpeg = BlindDegradation('gfpgan').steps
    assert (blur.sigma, blur.size, blur.reference) == ((0.1, 10), (41, 41), 512)
    assert (shrink.r, noise.sigma, jpeg.quality) == ((0.8, 8), (0, 20), (60, 100))


def test_with_a_seed_a_face_is_degraded_by_its_name():
    assert np.array_equal(lr_of(), lr_of())
    others = [lr_of('n1'), lr_of(seed=1), lr_of(steps='gfpgan')]
    assert not any(np.array_equal(lr_of(), other) for other in others)


def test_with_a_seed_nothing_else_matters():
    """Not the epoch, the subset, its order, nor what the pipeline drew before."""
    whole = Faces(pipeline=pipeline(0)[1:])
    part = Faces(first=4, seed=9, test_mode=True, pipeline=pipeline(0)[1:])
    for index in range(2):
        expected = whole[index + 4]['img']
        assert np.array_equal(part[index]['img'], expected)
        assert np.array_equal(whole[SampleKey(3, index + 4)]['img'], expected)
    behind_a_draw = Faces(pipeline=[lambda item: (np.random.random(), item)[1],
                                    *pipeline(0)[1:]])
    assert np.array_equal(behind_a_draw[4]['img'], whole[4]['img'])


def test_without_a_seed_epochs_differ_but_not_in_test_mode():
    train = Faces(pipeline=pipeline()[1:])
    lrs = [train[SampleKey(epoch, 1)]['img'] for epoch in (0, 1, 0)]
    assert np.array_equal(lrs[0], lrs[2]) and not np.array_equal(lrs[0], lrs[1])
    test = Faces(pipeline=pipeline()[1:], test_mode=True)
    assert np.array_equal(test[SampleKey(1, 1)]['img'], lrs[0])
    other = Faces(pipeline=pipeline()[1:], seed=1)
    assert not np.array_equal(other[1]['img'], lrs[0])


def first_lrs(workers, start=0, count=10):
    """LR pictures of the training stream, from a position on."""
    dataset = Faces(pipeline=pipeline())
    sampler = EpochSampler(dataset, seed=1)
    sampler.start_at(start)
    loader = DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers,
                        collate_fn=dict)
    np.random.seed(workers)
    return [item['img'] for _, item in zip(range(count), loader)]


def test_workers_and_resuming_change_nothing():
    whole = first_lrs(0)
    assert len({lr.tobytes() for lr in whole}) == 10
    assert np.array_equal(first_lrs(2), whole)
    assert np.array_equal(first_lrs(0, start=7, count=3), whole[7:])


def test_the_transforms_behind_draw_what_they_would_have_drawn():
    """However much the steps draw, what comes behind them sees the same numbers."""
    behind = []
    for steps in ('dfdnet', 'gfpgan'):
        np.random.seed(0)
        BlindDegradation(steps, 8)(sample())
        behind.append(np.random.random())
    assert behind[0] == behind[1]
    np.random.seed(0)
    BlindDegradation('dfdnet', 8, seed=0)(sample())
    first = np.random.random()
    np.random.seed(0)
    assert np.random.random() == first


def test_a_mirrored_face_gets_a_mirrored_lr():
    """Bit for bit where nothing has a direction: symmetric blur, and size."""
    steps = [BlurFace(dict(iso=1.0), sigma=3), ShrinkFace(r=4.0)]
    plain = BlindDegradation(steps, 8, 0)(sample())
    mirrored = BlindDegradation(steps, 8, 0)(FlipFace(1)(sample()))
    assert np.array_equal(mirrored['gt'], plain['gt'][:, ::-1])
    difference = mirrored['img'].astype(int) - plain['img'][:, ::-1]
    assert np.abs(difference).max() <= 1
    with pytest.raises(ValueError, match='would flip the LR image alone'):
        FlipFace()(plain)


def test_the_protocol_tells_it_all():
    faces = Faces(pipeline=pipeline(3, 'dfdnet'))
    line, = faces.pipeline_protocol()
    for fact in ('degradation dfdnet', 'iso 0.65, motion 0.35', 'r = 1 to 8',
                 'sigma 0 to 15', 'JPEG of quality 40 to 80', 'seed 3',
                 'HR / 8 by PIL bicubic'):
        assert fact in line
    assert "the data set's seed" in BlindDegradation().protocol()
    faces.size = SIDE
    assert faces.geometry()['scale'] == 8


def test_impossible_arguments_are_named():
    for arguments, message in [
            (dict(steps='nothing'), 'dfdnet, dfdnet_release, gfpgan'),
            (dict(steps=[dict(type='FlipFace')]), 'FlipFace is not a DegradationStep'),
            (dict(scale=0), 'scale is 0'), (dict(seed=-1), 'seed is -1'),
            (dict(seed=0.5), 'seed is 0.5')]:
        with pytest.raises(ValueError, match=message):
            BlindDegradation(**arguments)
    with pytest.raises(ValueError, match='scale=7 does not divide'):
        BlindDegradation(scale=7)(sample())
    with pytest.raises(ValueError, match='replaces DownsampleToLR'):
        BlindDegradation()(DownsampleToLR(8)(sample()))


def blind_config(folder, **changes):
    config = toy.restorer_config(folder, **changes)
    config.train_dataloader.dataset.pipeline[2] = dict(
        type='fdsr.BlindDegradation', steps='dfdnet', scale=toy.SCALE)
    return config


def test_a_resumed_run_sees_the_same_pictures(tmp_path):
    whole = toy.train(blind_config(tmp_path / 'whole', train_cfg__max_iters=6))
    toy.train(blind_config(tmp_path / 'parts', train_cfg__max_iters=3))
    resumed = toy.train(blind_config(
        tmp_path / 'parts', train_cfg__max_iters=6, resume=True,
        train_dataloader__num_workers=1))
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_what_differs_between_epochs_is_not_frozen(tmp_path):
    from fdsr.preparation.feature_cache import freeze_student_features
    config = blind_config(tmp_path)
    with pytest.raises(ValueError, match='Give BlindDegradation a seed'):
        freeze_student_features(config, tmp_path / 'store')
    assert not BlindDegradation(seed=0).varies and not BlindDegradation([]).varies
