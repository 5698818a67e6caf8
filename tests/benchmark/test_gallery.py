"""The gallery: the chosen faces and methods, and the images of the methods."""

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis import load_backbone
from fdsr.benchmark.gallery import Gallery, choose_faces, read_values
from fdsr.engine.config import load_config
from fdsr.models.images import to_uint8
from tests import toy
from tests.benchmark.test_benchmark import call  # noqa: F401

VALUES = {
    'A': {'PSNR': {f'i{n}': 20.0 + n for n in range(9)},
          'LPIPS': {f'i{n}': 0.1 * n for n in range(9)}},
    'B': {'PSNR': {f'i{n}': 25.0 for n in range(9)},
          'LPIPS': {f'i{n}': 0.3 for n in range(9)}}}


@pytest.mark.parametrize('column, count, expected', [
    ('PSNR', 3, ['i8', 'i4', 'i0']), ('LPIPS', 3, ['i0', 'i4', 'i8']),
    ('PSNR', 1, ['i4']), ('PSNR', 2, ['i8', 'i0']),
    ('PSNR', 5, ['i8', 'i6', 'i4', 'i2', 'i0'])])
def test_extremes_and_median_of_the_difference(column, count, expected):
    assert choose_faces(VALUES, ('A', 'B'), column, count) == expected


def test_what_was_not_measured_cannot_be_chosen_by():
    with pytest.raises(ValueError, match="'C' has no values of 'PSNR'; .* A, B"):
        choose_faces(VALUES, ('A', 'C'), 'PSNR')
    with pytest.raises(ValueError, match='count=0'):
        choose_faces(VALUES, ('A', 'B'), count=0)
    with pytest.raises(FileNotFoundError, match='run tools/benchmark.py'):
        read_values('nowhere.csv')


def test_the_pictures_are_the_methods(config_path, tmp_path, checkpoints):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    gallery = Gallery(config, ['Bicubic', 'Student', 'Never trained', 'Teacher'])
    assert gallery.labels == ['LR', 'Bicubic', 'Student', 'Teacher', 'HR']
    name = gallery.dataset.sample_name(1)
    face = gallery.faces([name], zoom=True)[0]
    sample = gallery.dataset[1]
    hr = sample['data_samples'].gt_img.permute(1, 2, 0).numpy()
    lr = sample['inputs'].permute(1, 2, 0).numpy()
    assert np.array_equal(face.images['HR'], hr)
    assert np.array_equal(face.images['LR'], lr)
    bicubic = Image.fromarray(lr).resize((toy.SIZE, toy.SIZE), Image.BICUBIC)
    assert np.array_equal(face.images['Bicubic'], np.asarray(bicubic))
    with torch.no_grad():
        student = load_backbone(checkpoints['student'])(sample['inputs'][None] / 255)
        teacher = load_backbone(checkpoints['teacher'])(
            sample['inputs'][None] / 255, sample['data_samples'].boxes[None])
    for label, sr in dict(Student=student, Teacher=teacher).items():
        assert np.array_equal(
            face.images[label], to_uint8(sr)[0].permute(1, 2, 0).numpy())
    error = np.square(face.images['Student'].astype(float) - hr).mean()
    assert face.captions['LR'] == 'PSNR / LPIPS'
    psnr, lpips = face.captions['Student'].split(' / ')
    assert psnr == f'{10 * np.log10(255**2 / error):.2f}' and 0 < float(lpips) < 2
    assert set(face.captions) == {'LR', 'Bicubic', 'Student', 'Teacher'}
    assert len(face.zooms) == 2
    with pytest.raises(ValueError, match="no sample 'nobody'"):
        gallery.faces(['nobody'])
    with pytest.raises(ValueError, match="'Nobody' is not one of the methods"):
        Gallery(config, ['Nobody'])


@pytest.mark.slow
def test_the_whole_way(config_path, call, tmp_path):  # noqa: F811
    arguments = ('make_figure.py', config_path, '--results', 'out', '--pair', 'Student',
                 'Teacher', '--column', 'PSNR')
    with pytest.raises(SystemExit, match='run tools/benchmark.py'):
        call(*arguments)
    call('benchmark.py', config_path, '--out', 'out')
    printed = call(*arguments, '--zoom')
    assert printed.splitlines()[-2:] == ['out/figure1.png', 'out/figure1.pdf']
    assert 'faces: d00100' in printed and printed.count('d00100') == 3
    width, height = Image.open(tmp_path / 'out/figure1.png').size
    # LR, bicubic, teacher twice, student, HR, each 8 times 32 px, and gaps
    assert width == 6 * 256 + 5 * 6 and height > 3 * 256
    assert (tmp_path / 'out/figure1.pdf').read_bytes().startswith(b'%PDF')
    call('make_figure.py', config_path, '--names', 'd001001/0000', '--out', 'one.png',
         '--methods', 'Student')
    assert Image.open(tmp_path / 'one.png').size[0] == 3 * 256 + 2 * 6
