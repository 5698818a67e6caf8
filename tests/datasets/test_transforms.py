"""Flips, boxes, LR, and how they are packed."""
import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.datasets.base import FaceDataset, collate_samples
from fdsr.datasets.transforms import ComponentBoxes, DownsampleToLR, FlipFace
from fdsr.geometry.components import boxes_from_five_points
from fdsr.registry import TRANSFORMS

SIDE = 64


def sample(seed=0):
    draws = np.random.RandomState(seed)
    base = np.array([[20, 24], [44, 25], [31, 38], [23, 47], [42, 48]], np.float32)
    return dict(img=draws.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8),
                landmarks=base + draws.uniform(-1, 1, (5, 2)).astype(np.float32),
                name=f'n{seed}')


def test_boxes_are_those_of_the_landmarks():
    item = sample()
    boxes = ComponentBoxes()(item)['boxes']
    assert boxes.dtype == torch.float32 and boxes.shape == (4, 4)
    expected = boxes_from_five_points(item['landmarks'], SIDE)
    assert np.array_equal(boxes.numpy(), expected)


def test_boxes_are_in_hr_pixels_behind_the_downsampling_too():
    expected = ComponentBoxes()(sample())['boxes']
    item = ComponentBoxes()(DownsampleToLR(8)(sample()))
    assert torch.equal(item['boxes'], expected)


def test_a_flip_commutes_with_the_boxes():
    before = ComponentBoxes()(FlipFace(1)(sample()))
    after = FlipFace(1)(ComponentBoxes()(sample()))
    assert torch.allclose(before['boxes'], after['boxes'], atol=1e-4)
    boxes = ComponentBoxes()(sample())['boxes']
    # image-left stays first, and the mirrored left eye was the right one
    assert after['boxes'][0, 0] < after['boxes'][1, 0]
    assert after['boxes'][0, 1] == boxes[1, 1]


def test_a_flip_moves_landmarks_with_their_pixels():
    item = sample()
    item['landmarks'] = np.rint(item['landmarks'])
    pixels = [item['img'][int(y), int(x)] for x, y in item['landmarks']]
    flipped = FlipFace(1)(dict(item))
    found = [flipped['img'][int(y), int(x)] for x, y in flipped['landmarks']]
    assert np.array_equal(found, [pixels[row] for row in (1, 0, 2, 4, 3)])
    assert flipped['landmarks'][0, 0] < flipped['landmarks'][1, 0]
    assert flipped['landmarks'][3, 0] < flipped['landmarks'][4, 0]


def test_two_flips_are_none_and_the_input_stays():
    item = ComponentBoxes()(sample())
    kept = {key: np.array(value) for key, value in item.items()}
    twice = FlipFace(1)(FlipFace(1)(dict(item)))
    for key in ('img', 'landmarks', 'boxes'):
        assert np.allclose(twice[key], kept[key], atol=1e-4)
        assert np.array_equal(item[key], kept[key])


def test_flips_are_as_frequent_as_asked():
    np.random.seed(0)
    flips = sum(not np.array_equal(FlipFace(0.25)(sample())['img'], sample()['img'])
                for _ in range(400))
    assert 70 < flips < 130
    assert np.array_equal(FlipFace(0)(sample())['img'], sample()['img'])


def test_downsampling_is_pils_anti_aliased_bicubic():
    item = DownsampleToLR(8)(sample())
    expected = Image.fromarray(item['gt']).resize((8, 8), Image.BICUBIC)
    assert item['img'].dtype == np.uint8
    assert np.array_equal(item['img'], np.asarray(expected))
    assert np.array_equal(item['gt'], sample()['img'])
    stripes = np.zeros((SIDE, SIDE, 3), np.uint8)
    stripes[:, ::2] = 255
    small = DownsampleToLR(8)(dict(img=stripes))['img'].astype(int)
    assert np.abs(small - 127).max() < 10


def test_impossible_arguments_are_named():
    with pytest.raises(ValueError, match='scale=7 does not divide'):
        DownsampleToLR(7)(sample())
    with pytest.raises(ValueError, match='scale is 0'):
        DownsampleToLR(0)
    with pytest.raises(ValueError, match='prob is 2'):
        FlipFace(2)
    with pytest.raises(ValueError, match='before DownsampleToLR'):
        FlipFace()(DownsampleToLR(8)(sample()))


class Faces(FaceDataset):
    def __len__(self):
        return 3

    def load(self, index):
        return sample(index)

    def protocol(self):
        return {}


def test_packed_boxes_stack_to_b_4_4():
    structures = pytest.importorskip('mmagic.structures')
    pack = dict(type='mmagic.PackInputs', keys=['img'], data_keys=['boxes'],
                meta_keys=['name'])
    steps = [dict(type='FlipFace'), dict(type='ComponentBoxes'),
             dict(type='DownsampleToLR', scale=8), pack]
    faces = Faces(pipeline=steps)
    batch = collate_samples([faces[index] for index in range(3)])
    assert batch['inputs'][0].shape == (3, 8, 8)
    assert batch['inputs'][0].dtype == torch.uint8
    stacked = structures.DataSample.stack(batch['data_samples'])
    assert stacked.boxes.shape == (3, 4, 4) and stacked.boxes.dtype == torch.float32
    assert stacked.gt_img.shape == (3, 3, SIDE, SIDE)
    assert stacked.gt_img.dtype == torch.uint8
    assert [one.name for one in batch['data_samples']] == ['n0', 'n1', 'n2']
    gt = Faces(pipeline=steps[:3])[1]['gt']
    assert np.array_equal(stacked.gt_img[1].permute(1, 2, 0).numpy(), gt)


def test_transforms_are_found_by_name():
    for name in ('FlipFace', 'ComponentBoxes', 'DownsampleToLR'):
        assert type(TRANSFORMS.build(dict(type=f'fdsr.{name}'))).__name__ == name
