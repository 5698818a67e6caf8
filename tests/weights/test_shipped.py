"""The weights that come along: whole, small, with a card that is theirs, and of use."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.registry import METRICS
from fdsr.weights import safe_load, sha256_of
from fdsr.weights.hashing import values_sha256
from fdsr.weights.shipped import DEFAULT, SHIPPED, shipped_weights
from tests.conftest import REPOSITORY


def psnr(image, reference):
    error = np.asarray(image, float) - np.asarray(reference, float)
    return 10 * np.log10(255 ** 2 / (error ** 2).mean())


def enlarged(image, side):
    return np.asarray(Image.fromarray(image).resize((side, side), Image.BICUBIC))


@pytest.mark.parametrize('name', SHIPPED)
def test_the_file_is_what_its_card_says(name):
    path, card = shipped_weights(name), shipped_weights(name).with_suffix('.md')
    text = card.read_text(encoding='utf-8')
    assert sha256_of(path) in text and path.name in text
    assert read_checkpoint(path)[0]['licence'] == SHIPPED[name].licence
    assert f'| licence | {SHIPPED[name].licence} |' in text
    parameters = sum(value.numel() for value in load_backbone(path).parameters())
    assert f'{parameters / 1e6:.2f} M parameters' in text
    limits = dict(tiny=0.3e6, small=1.4e6, compact=1.4e6, base=2.5e6)
    assert parameters <= limits[name]
    assert path.stat().st_size <= 2.1 * parameters  # fp16


def test_all_files_together_are_small():
    assert sum(shipped_weights(name).stat().st_size for name in SHIPPED) <= 12e6


def test_the_values_are_those_that_were_released_as_a_torch_file():
    state = safe_load(shipped_weights('compact'))['state_dict']
    assert values_sha256(state) == (
        '6149c5d67ce9932f6705e22fab616fd7693d658e1eed05c66f63eebdb5779486')


def test_nothing_lies_there_unused():
    folder = shipped_weights(DEFAULT).parent
    known = {SHIPPED[name].file for name in SHIPPED}
    cards = {f'{Path(file).stem}.md' for file in known}
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        *known, *cards, '__init__.py'}


@pytest.mark.slow
def test_a_wheel_brings_them(tmp_path):
    for name in ('fdsr', 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md'):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation',
         '--no-index', '--wheel-dir', str(tmp_path / 'wheels'), str(tmp_path)],
        check=True, capture_output=True)
    [wheel] = (tmp_path / 'wheels').glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        weights = [name for name in archive.namelist()
                   if name.endswith(('.pth', '.safetensors'))]
        assert len(weights) == len(SHIPPED)
        for path in shipped_weights(DEFAULT).parent.iterdir():
            if path.is_file():
                name = path.relative_to(REPOSITORY).as_posix()
                assert archive.read(name) == path.read_bytes()


def test_a_portrait_that_it_has_never_seen():
    """Restored without any option; far nearer than bicubic to LPIPS, and to PSNR."""
    pytest.importorskip('mediapipe')
    portrait = pytest.importorskip('skimage.data').astronaut()
    small = np.asarray(Image.fromarray(portrait).resize((96, 96), Image.BICUBIC))
    result = FaceSuperResolver(device='cpu').restore_photo(small, scale=8)
    [face] = result.faces
    assert face.status.value == 'restored', face.message
    left, top, right, bottom = (8 * np.asarray(face.box)).astype(int)
    inside = np.s_[top:bottom, left:right]
    original, ours, plain = (picture[inside] for picture in (
        enlarged(portrait, 768), result.image, enlarged(small, 768)))
    assert psnr(ours, original) > psnr(plain, original)
    lpips = METRICS.build(dict(type='fdsr.LPIPS'))
    distance, bicubic = (float(lpips.process_image(*(
        picture.transpose(2, 0, 1) for picture in (original, other)), None))
        for other in (ours, plain))
    assert distance < 0.6 * bicubic


@pytest.mark.slow
def test_the_reported_results(shared_faces_public):
    """PSNR on every tenth test face is near that of all in docs/results.md."""
    from fdsr.datasets import VGGFace2Dataset
    faces = VGGFace2Dataset(
        shared_faces_public, split='test', size=256, align='five_point',
        eye_share=0.243, min_box_side=90, test_mode=True)
    hr = [faces[index]['img'] for index in range(0, len(faces), 10)]
    lr = [np.asarray(Image.fromarray(face).resize((32, 32), Image.BICUBIC))
          for face in hr]
    sr = FaceSuperResolver(device='cpu')(lr)
    found = np.mean([psnr(*pair) for pair in zip(sr, hr)])
    plain = np.mean([psnr(enlarged(small, 256), face) for small, face in zip(lr, hr)])
    text = (REPOSITORY / 'docs/results.md').read_text(encoding='utf-8')
    heads, _, row = (
        [cell.split('/')[0].strip() for cell in line.split('|')]
        for line in text[text.index('| `faces_public`, 150'):].splitlines()[:3])
    assert row[1] == 'clean'
    bicubic, default = (float(row[heads.index(name)]) for name in ('Bicubic', DEFAULT))
    assert abs(found - plain - (default - bicubic)) < 0.3
