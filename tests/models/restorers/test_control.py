"""The control teacher that reads no atom."""

import pytest
import torch
import torch.nn.functional as F

from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.files.checkpoints import load_backbone, save_backbone
from tests.models.backbones.test_backbones import BOXES, TINY

SETTINGS = dict(size=64, scale=4, encoder=TINY, width=0.25)
LR = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def control(num_atoms=0):
    torch.manual_seed(1)
    return DictionaryTeacher(
        **SETTINGS, dictionary=dict(num_atoms=num_atoms), use_atoms=False).eval()


def test_the_crop_stands_where_the_atom_stood():
    net = control()
    feature = torch.rand(1, net.encoder.channels[0], 64, 64)
    maps = [feature, *net.encode(LR)[1:]]
    found = net.transfer(maps, BOXES)[0]
    expected = feature.clone()
    for order, component in enumerate(net.confidence):
        x1, y1, x2, y2 = BOXES[0, order].long().tolist()
        crop = feature[:, :, y1:y2, x1:x2]
        side = net.dictionary.spec.sides[component][0]
        small = F.interpolate(crop, (side, side), mode='bilinear', align_corners=False)
        back = F.interpolate(small, crop.shape[-2:], mode='nearest')
        block = net.confidence[component][0]
        weight = block.second(block.act(block.first(back - crop)))
        expected[:, :, y1:y2, x1:x2] = crop + weight * back
    torch.testing.assert_close(found, expected)


def test_no_atom_is_read_and_the_size_is_the_teachers():
    net, with_atoms = control(), control(num_atoms=5)
    torch.manual_seed(1)
    teacher = DictionaryTeacher(**SETTINGS, dictionary=dict(num_atoms=5)).eval()
    shapes = {name: value.shape for name, value in teacher.named_parameters()}
    assert shapes == {name: value.shape for name, value in net.named_parameters()}
    assert not sum(buffer.numel() for buffer in net.dictionary.buffers())
    with torch.no_grad():
        assert torch.equal(net(LR, BOXES), with_atoms(LR, BOXES))
        assert not torch.equal(net(LR, BOXES), teacher(LR, BOXES))


def test_nothing_random_is_announced(monkeypatch):
    said = []
    monkeypatch.setattr('fdsr.models.backbones.dictionary_teacher.announce_random',
                        said.append)
    control()
    assert not said
    control(num_atoms=2)
    assert said


def test_gradients_reach_the_confidence_blocks():
    net = control()
    net(LR, BOXES).square().mean().backward()
    finest = [(name, parameter) for name, parameter in net.confidence.named_parameters()
              if '.0.' in name]
    assert len(finest) == 4 * 4
    for name, parameter in finest:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_it_comes_back_from_its_file(tmp_path):
    net, path = control(), tmp_path / 'control.pth'
    save_backbone(net, dict(type='fdsr.DictionaryTeacher', **SETTINGS, use_atoms=False,
                            dictionary=dict(num_atoms=0)), path)
    again = load_backbone(path)
    assert not again.use_atoms
    with torch.no_grad():
        assert torch.equal(again(LR, BOXES), net(LR, BOXES))


def test_a_teacher_needs_atoms():
    with pytest.raises(ValueError, match='use_atoms=False'):
        DictionaryTeacher(**SETTINGS, dictionary=dict(num_atoms=0))
