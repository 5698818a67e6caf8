"""The encoder-decoder: sizes, parameters, up-sampling, gradients."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmagic.structures import DataSample
from PIL import Image

from fdsr.models.backbones import DictionaryTeacher, DistilledStudent
from fdsr.models.backbones.encoder import FeatureEncoder
from fdsr.models.forward import run_backbone
from fdsr.models.resampling import BicubicUpsample
from tests import warm

TINY = dict(type='fdsr.TinyEncoder')
BOXES = torch.tensor([[[10, 12, 26, 28], [36, 12, 52, 28], [24, 24, 40, 40],
                       [18, 38, 46, 60]]], dtype=torch.float32)


def tiny_teacher(**kwargs) -> DictionaryTeacher:
    settings = dict(size=64, scale=4, encoder=TINY, width=0.25,
                    dictionary=dict(num_atoms=6))
    return DictionaryTeacher(**{**settings, **kwargs})


@pytest.mark.parametrize('scale', [1, 2, 3, 8])
def test_upsampling_is_pil_bicubic(scale):
    image = torch.rand(2, 3, 13, 9, generator=torch.Generator().manual_seed(scale))
    ours = BicubicUpsample(scale)(image)
    for sample, channel in np.ndindex(2, 3):
        plane = Image.fromarray(image[sample, channel].numpy())
        theirs = plane.resize((9 * scale, 13 * scale), Image.BICUBIC)
        np.testing.assert_allclose(
            ours[sample, channel].numpy(), np.asarray(theirs), atol=1e-5)


@pytest.mark.parametrize('scale', [0, 1.5, -2])
def test_scale_has_to_be_a_whole_number(scale):
    with pytest.raises(ValueError, match='whole number'):
        BicubicUpsample(scale)


@pytest.mark.parametrize('layout, teacher_millions, student_millions', [
    ('B', 71.4, 46.3), ('A', 113.3, 69.7)])
def test_parameter_counts_are_the_papers(layout, teacher_millions, student_millions):
    encoder = dict(arch='vgg19', pretrained=None)
    teacher = DictionaryTeacher(
        size=256, layout=layout, encoder=encoder, dictionary=dict(num_atoms=1))
    student = DistilledStudent(layout=layout, encoder=encoder)
    for net, millions in ((teacher, teacher_millions), (student, student_millions)):
        count = sum(parameter.numel() for parameter in net.parameters())
        assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize('layout', ['A', 'B'])
@pytest.mark.parametrize('arch', ['tiny', 'vgg16', 'vgg19'])
@pytest.mark.parametrize('scale, lr_side', [(8, 4), (3, 16), (1, 32)])
def test_any_scale_and_side(layout, arch, scale, lr_side):
    encoder = TINY if arch == 'tiny' else dict(arch=arch, pretrained=None)
    side = scale * lr_side
    teacher = tiny_teacher(
        size=side, scale=scale, layout=layout, encoder=encoder, width=0.1)
    with torch.no_grad():
        sr = teacher(torch.rand(1, 3, lr_side, lr_side), BOXES * side / 64)
    assert sr.shape == (1, 3, side, side)


def test_side_that_does_not_fit_is_refused():
    net = DistilledStudent(scale=1, layout='A', encoder=TINY)
    with pytest.raises(ValueError, match='divisible by 16, found 40x40'):
        net(torch.rand(1, 3, 40, 40))


def test_unknown_layout_and_encoder_are_refused():
    with pytest.raises(ValueError, match='Unknown layout'):
        DistilledStudent(layout='C', encoder=TINY)
    with pytest.raises(ValueError, match='Unknown encoder'):
        DistilledStudent(encoder=dict(arch='resnet'))
    with pytest.raises(ValueError, match='512 px only'):
        tiny_teacher(layout='dfdnet512')


def test_student_fits_into_the_teacher():
    teacher, student = tiny_teacher(), DistilledStudent(4, 'B', TINY, 0.25)
    theirs = teacher.state_dict()
    for name, value in student.state_dict().items():
        assert theirs[name].shape == value.shape
    extra = {name.split('.')[0] for name in theirs} - {
        name.split('.')[0] for name in student.state_dict()}
    assert extra == {'dictionary', 'confidence'}


def test_encoder_runs_once_for_both():
    encoder = dict(arch='vgg16', pretrained=None)
    teacher = tiny_teacher(encoder=encoder)
    student = DistilledStudent(4, 'B', encoder, 0.25)
    assert student.shares_encoding_with(teacher)
    lr = torch.rand(1, 3, 16, 16)
    encoded = teacher.encode(lr)
    before = [feature.clone() for feature in encoded]
    student.eval()  # in training mode each forward changes the spectral norm
    with torch.no_grad():
        teacher(lr, BOXES, encoded)
        assert torch.equal(student(lr, encoded), student(lr))
        assert not torch.allclose(student(1 - lr), student(lr), atol=1e-3)
    for feature, kept in zip(encoded, before):
        assert torch.equal(feature, kept), 'the teacher changed the shared maps'
    trainable = DistilledStudent(4, 'B', dict(encoder, frozen=False), 0.25)
    assert not trainable.shares_encoding_with(teacher)
    assert not DistilledStudent(8, 'B', encoder, 0.25).shares_encoding_with(teacher)


def test_gradients_reach_what_is_trained_and_nothing_frozen():
    teacher = tiny_teacher(encoder=dict(arch='vgg16', pretrained=None))
    teacher(torch.rand(1, 3, 16, 16), BOXES).square().mean().backward()
    for name, parameter in teacher.named_parameters():
        if name.startswith('encoder'):
            assert parameter.grad is None, name
        elif not name.startswith('decoder.to_rgb'):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_teacher_without_boxes_of_the_right_shape():
    with pytest.raises(ValueError, match=r'\(1, 4, 4\), found \(4, 4\)'):
        tiny_teacher()(torch.rand(1, 3, 16, 16), BOXES[0])
    for samples in (None, DataSample()):
        with pytest.raises(ValueError, match='DictionaryTeacher needs component boxes'):
            run_backbone(tiny_teacher(), torch.rand(1, 3, 16, 16), samples)


def test_trainable_encoder_does_not_change_the_frozen_one():
    frozen = FeatureEncoder('vgg16')
    trained = FeatureEncoder('vgg16', frozen=False)  # from the same cached file
    assert frozen.fingerprint() == trained.fingerprint()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    assert frozen.fingerprint() != trained.fingerprint()
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize('module', ['fdsr.models.backbones', 'fdsr.apis'])
def test_networks_and_apis_stay_clear_of_mmagic_models(module):
    code = (f'import sys, {module}; '
            'sys.exit(any(name.startswith("mmagic.models") for name in sys.modules))')
    assert subprocess.run([warm.python(warm.TORCH), '-c', code]).returncode == 0


def test_importing_the_package_imports_no_torch():
    code = 'import sys, fdsr; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
