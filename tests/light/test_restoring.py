"""What a restoring installation provides, in whatever environment this runs.

`nox` runs this in empty environments with the wheel; `make test` runs it in the full
one. Nothing here may import more than `pip install fdsr` installs.
"""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path.name for path in (ROOT / 'tools').glob('[a-z]*.py')
               if path.name != 'check_environment.py')
#: Packages that restoring must neither need nor import.
FORBIDDEN = ('mmcv', 'mmagic', 'lpips', 'diffusers', 'transformers', 'huggingface_hub',
             'pandas', 'scipy', 'sklearn', 'skimage', 'tensorboard')
HAS_MMAGIC = importlib.util.find_spec('mmagic') is not None
SIDE = 64


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess:
    """Runs Python outside the checkout."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], text=True, capture_output=True,
        timeout=300, env={**os.environ, **env})


def run_code(code: str) -> str:
    """Runs a snippet and returns what it prints."""
    result = run('-c', textwrap.dedent(code))
    assert result.returncode == 0, result.stderr
    return result.stdout


def face(seed: int = 0) -> np.ndarray:
    """A smooth blob with two dark eyes: uint8 (64, 64, 3) RGB."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    skin = np.exp(-((x - .5) ** 2 + (y - .5) ** 2) / .08)
    for eye in (.35, .65):
        skin -= .6 * np.exp(-((x - eye) ** 2 + (y - .4) ** 2) / .002)
    tint = np.random.default_rng(seed).uniform(.6, 1, 3)
    return (255 * np.clip(skin[..., None] * tint, 0, 1)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three images of faces."""
    inputs = tmp_path / 'faces'
    inputs.mkdir()
    for number in range(3):
        Image.fromarray(face(number)).save(inputs / f'{number}.png')
    return inputs


def test_every_bundled_network_loads_and_restores():
    import torch

    from fdsr.apis import FaceSuperResolver, load_backbone
    from fdsr.weights.shipped import SHIPPED, shipped_weights
    assert SHIPPED
    for name in SHIPPED:
        network = load_backbone(shipped_weights(name))
        assert not network.training
        lr = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.isfinite(network(lr)).all()
        restored = FaceSuperResolver(name)(face())
        bicubic = np.asarray(Image.fromarray(face()).resize(
            (32, 32), Image.BICUBIC).resize((256, 256), Image.BICUBIC), float)
        assert restored.shape == (256, 256, 3) and restored.dtype == np.uint8
        # the same face, and not bicubic up-sampling
        assert .5 < np.abs(restored - bicubic).mean() < 12


def test_the_command_restores_an_image_and_a_folder(tmp_path, folder):
    one = run('-m', 'fdsr', folder / '0.png', '--aligned', '--out',
              tmp_path / 'one')
    assert one.returncode == 0, one.stderr
    many = run(ROOT / 'tools/infer.py', folder, '--aligned', '--out',
               tmp_path / 'many')
    assert many.returncode == 0, many.stderr
    for path in [tmp_path / 'one/0.png', *(tmp_path / 'many').glob('*.png')]:
        assert Image.open(path).size == (256, 256)
    assert len(list((tmp_path / 'many').glob('*.png'))) == 3
    rows = (tmp_path / 'many/results.csv').read_text().splitlines()
    assert len(rows) == 4 and all(',ok,' in row for row in rows[1:])
    alone, batched = (np.asarray(Image.open(tmp_path / folder / '0.png')).astype(int)
                      for folder in ('one', 'many'))
    # convolutions of another batch size round differently in the last bit of fp32
    assert np.abs(alone - batched).max() <= 1 and (alone != batched).mean() < 1e-3


def test_the_command_restores_a_video(tmp_path):
    av = pytest.importorskip('av')
    with av.open(str(tmp_path / 'clip.mp4'), 'w') as file:
        stream = file.add_stream('mpeg4', rate=10)
        stream.width = stream.height = SIDE
        stream.pix_fmt = 'yuv420p'
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(face(number), 'rgb24')
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    done = run('-m', 'fdsr', tmp_path / 'clip.mp4', '--aligned', '--out',
               tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / 'out/clip.mp4')) as file:
        frames = [(frame.width, frame.height, round(frame.time, 3))
                  for frame in file.decode(video=0)]
    assert frames == [(256, 256, 0), (256, 256, .1), (256, 256, .2)]


def test_the_console_script_is_installed(tmp_path):
    script = Path(sys.executable).with_name('fdsr')
    result = subprocess.run([script, '--help'], text=True, capture_output=True)
    assert result.returncode == 0 and '--whole-photo' in result.stdout
    assert '--aligned' in result.stdout


@pytest.mark.parametrize('tool', TOOLS)
def test_help_needs_no_package_but_the_standard_library(tool):
    # -S leaves out site-packages, so that importing anything heavy fails
    result = run('-S', ROOT / 'tools' / tool, '--help', PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stderr
    assert 'usage:' in result.stdout


def test_restoring_imports_nothing_that_only_training_needs(folder, tmp_path):
    blocked = {name: None for name in FORBIDDEN}
    output = run_code(f'''
        import sys
        sys.modules.update({blocked!r})
        import importlib.util
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = lambda name, package=None: (
            None if name.split('.')[0] in {FORBIDDEN!r} else find_spec(name, package))
        from fdsr.cli.infer import main
        assert main([{str(folder)!r}, '--aligned',
                     '--out', {str(tmp_path / 'out')!r}]) == 0
        import fdsr.landmarks, fdsr.models.backbones, fdsr.apis.photo
        print(sorted(set(sys.modules) & {{
            'mediapipe', 'gradio', 'onnx', 'onnxruntime', 'torchvision'}}))
    ''')
    assert output.splitlines()[-1] == '[]'


def test_importing_fdsr_imports_nothing_heavy():
    assert run_code('''
        import sys
        import fdsr
        print({'torch', 'numpy', 'mmengine', 'cv2', 'PIL'} & set(sys.modules))
    ''') == 'set()\n'


def test_onnx_computes_what_the_network_computes(tmp_path):
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    import torch

    from fdsr.apis import load_backbone
    from fdsr.weights.shipped import shipped_weights
    result = run(ROOT / 'tools/export_onnx.py', 'compact', tmp_path / 'compact.onnx')
    assert result.returncode == 0, result.stderr
    session = runtime.InferenceSession(str(tmp_path / 'compact.onnx'))
    lr = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    exported, = session.run(None, {session.get_inputs()[0].name: lr.numpy()})
    with torch.no_grad():
        expected = load_backbone(shipped_weights('compact'))(lr)
    assert np.abs(exported - expected.numpy()).max() < 1e-4


def test_a_photograph_without_a_detector_names_both_options(tmp_path, folder):
    result = run('-c', textwrap.dedent(f'''
        import sys
        sys.modules['mediapipe'] = None
        import importlib.util
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = lambda name, package=None: (
            None if name.split('.')[0] == 'mediapipe' else find_spec(name, package))
        from fdsr.apis import FaceSuperResolver
        FaceSuperResolver().restore_photo({str(folder / '0.png')!r})
    '''), FDSR_WEIGHTS=str(tmp_path))
    assert 'ImportError' in result.stderr
    assert 'fdsr[landmarks]' in result.stderr and 'yunet' in result.stderr.lower()


@pytest.mark.skipif(HAS_MMAGIC, reason='mmagic is installed')
def test_without_mmagic_its_names_and_training_say_what_to_install(tmp_path):
    from fdsr.registry import METRICS, MODELS, register_all
    for build in (lambda: METRICS.build(dict(type='mmagic.PSNR')),
                  lambda: MODELS.build(dict(type='mmagic.SwinIRNet')), register_all):
        with pytest.raises(ImportError, match=r'pip install "fdsr\[train\]"'):
            build()
    result = run(ROOT / 'tools/train.py', ROOT / 'configs/demo/teacher.py',
                 '--work-dir', tmp_path, FDSR_TRACEBACK='')
    assert result.returncode == 1
    assert 'pip install "fdsr[train]"' in result.stderr
    assert 'Traceback' not in result.stderr


def test_a_file_with_the_name_of_a_program_does_not_run_it(tmp_path):
    import torch

    from fdsr.apis import load_backbone
    marker = tmp_path / 'ran'
    config = {'type': 'subprocess.Popen', 'args': ['touch', str(marker)]}
    facts = dict(format=1, backbones={'generator': config}, default='generator',
                 external={})
    torch.save({'meta': {'fdsr': facts}, 'state_dict': {}}, tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth'):
        load_backbone(tmp_path / 'bad.pth')
    assert not marker.exists()
