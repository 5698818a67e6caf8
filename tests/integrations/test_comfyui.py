"""The folder for ComfyUI, called as its server calls it.

``folder_paths`` and ``comfy`` are part of ComfyUI, which is not a package. The modules
here have the behaviour of the originals that the node uses.
"""

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from fdsr.apis import FaceSuperResolver
from fdsr.apis.images import BadImage
from fdsr.geometry.alignment import five_point_template
from fdsr.interchange.publishing import publish
from fdsr.landmarks import FaceLandmarks, FoundFace, LandmarkDetector
from fdsr.models.contract import add_traits
from fdsr.models.files import CheckpointMismatch
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS
from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / 'integrations' / 'comfyui'
SIZE, SCALE = 64, 4
LR_SIZE = SIZE // SCALE
CONFIG = dict(type='fdsr.SRVGG', scale=SCALE, channels=8, convs=2)
#: Extensions that ComfyUI lists.
EXTENSIONS = {'.ckpt', '.pt', '.pt2', '.bin', '.pth', '.safetensors', '.pkl', '.sft'}


class PlacedFaces(LandmarkDetector):
    """Finds faces at given centres, all with the same side."""

    centres, side = [], LR_SIZE

    def detect_faces(self, image):
        raise AssertionError('a photograph needs find_faces')

    def find_faces(self, image):
        points = five_point_template(self.side, 0.3) - (self.side - 1) / 2
        return [FoundFace((x - 4, y - 4, x + 4, y + 4),
                          FaceLandmarks((points + (x, y)).astype(np.float32)))
                for x, y in self.centres]


def fake_folder_paths(folder):
    """ComfyUI's module, with one folder of models."""
    module = ModuleType('folder_paths')
    module.folder_names_and_paths = {'upscale_models': ([str(folder)], EXTENSIONS)}
    module.get_folder_paths = lambda name: module.folder_names_and_paths[name][0][:]

    def get_filename_list(name):
        folders, extensions = module.folder_names_and_paths[name]
        return sorted(file for one in folders for file in os.listdir(one)
                      if os.path.splitext(file)[-1].lower() in extensions)

    def get_full_path(name, file):
        file = os.path.relpath(os.path.join('/', file), '/')
        for one in module.folder_names_and_paths[name][0]:
            if os.path.isfile(os.path.join(one, file)):
                return os.path.join(one, file)
        return None
    module.get_filename_list, module.get_full_path = get_filename_list, get_full_path
    return module


@pytest.fixture
def comfy(tmp_path, monkeypatch):
    """A folder of models, ComfyUI's modules, and a function that loads the nodes."""
    models, steps = tmp_path / 'upscale_models', []
    models.mkdir()
    monkeypatch.setitem(sys.modules, 'folder_paths', fake_folder_paths(models))
    parts = dict(
        model_management=dict(get_torch_device=lambda: torch.device('cpu')),
        utils=dict(ProgressBar=lambda total: SimpleNamespace(
            update=lambda value: steps.append((value, total)))))
    package = ModuleType('comfy')
    monkeypatch.setitem(sys.modules, 'comfy', package)
    for name, content in parts.items():
        module = ModuleType(f'comfy.{name}')
        vars(module).update(content)
        setattr(package, name, module)
        monkeypatch.setitem(sys.modules, f'comfy.{name}', module)
    monkeypatch.setattr('fdsr.apis.super_resolver.default_photo_detector', lambda: dict(
        type=PlacedFaces))
    monkeypatch.setattr(PlacedFaces, 'centres', [])
    monkeypatch.setattr(PlacedFaces, 'side', LR_SIZE)

    def load():
        """As load_custom_node of ComfyUI's nodes.py does."""
        folder = shutil.copytree(SOURCE, tmp_path / 'custom_nodes' / 'fdsr-1.0',
                                 dirs_exist_ok=True)
        name = str(folder).replace('.', '_x_')
        spec = importlib.util.spec_from_file_location(name, folder / '__init__.py')
        module = importlib.util.module_from_spec(spec)
        for loaded in [key for key in sys.modules if key.startswith(name)]:
            del sys.modules[loaded]
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        assert (module.NODE_DISPLAY_NAME_MAPPINGS.keys()
                == module.NODE_CLASS_MAPPINGS.keys())
        return module.NODE_CLASS_MAPPINGS
    return SimpleNamespace(models=models, load=load, steps=steps)


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    torch.manual_seed(0)
    network = add_traits(MODELS.build(CONFIG), dict(size=SIZE, eye_share=0.3))
    save_backbone(network, CONFIG, folder / 'source.pth')
    return publish(folder / 'source.pth', folder / 'out', 'net', licence='MIT').path


@pytest.fixture
def node(comfy, model_file):
    """A function that validates inputs and runs the node, as the server does."""
    shutil.copy(model_file, comfy.models / 'net.pth' if model_file.suffix == '.pth'
                else comfy.models / 'net.safetensors')
    [kind] = comfy.load().values()

    def run(image, **inputs):
        inputs = {'image': image, 'model': f'net{model_file.suffix}', 'strength': 1.0,
                  'max_face_size': 0, **inputs}
        accepted = kind.INPUT_TYPES()
        assert set(accepted['required']) <= set(inputs)
        for name, (what, *options) in {**accepted['required'],
                                       **accepted['optional']}.items():
            if isinstance(what, list):
                assert inputs[name] in what
            elif name in inputs and what in ('INT', 'FLOAT'):
                assert options[0]['min'] <= inputs[name] <= options[0]['max']
        with torch.inference_mode():  # around every node
            results = getattr(kind(), kind.FUNCTION)(**inputs)
        assert isinstance(results, tuple)
        assert len(results) == len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES)
        assert kind.RETURN_TYPES == ('IMAGE', 'MASK', 'INT')
        restored, mask, count = results
        assert restored.dtype == mask.dtype == torch.float32 and type(count) is int
        assert restored.shape[:3] == mask.shape and len(restored) == len(image)
        assert 0 <= restored.min() and restored.max() <= 1
        assert 0 <= mask.min() and mask.max() <= inputs['strength']
        return results
    return run


def smooth(batch=1, height=60, width=80, channels=3):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    waves = [0.5 + 0.4 * torch.sin(x / 20 + k) * torch.cos(y / 20 - k)
             for k in range(channels)]
    return torch.stack(waves, -1).expand(batch, -1, -1, -1).contiguous()


def test_a_batch_with_several_faces(node, comfy, caplog):
    PlacedFaces.centres = [(20, 30), (55, 25)]
    image = smooth(batch=2) + torch.tensor([0, 0.05])[:, None, None, None]
    with caplog.at_level(logging.INFO):
        restored, mask, count = node(image)
    assert count == 4 and restored.shape == image.shape
    assert comfy.steps == [(1, 2)] * 2
    assert 'image 2 of 2: 2 of 2 faces restored.' in caplog.text
    resolver = FaceSuperResolver(next(comfy.models.iterdir()), 'cpu')
    for one, found, weight in zip(image, restored, mask):
        expected = resolver.restore(one.movedim(-1, 0), 'photo', 1)
        changed = weight > 0
        assert 0.02 < changed.float().mean() < 0.5
        assert torch.equal(found[~changed], one[~changed])  # not rounded to 8 bits
        assert np.array_equal((found[changed] * 255).round().byte().numpy(),
                              expected.image[changed.numpy()])
        assert weight[30, 20] == weight[25, 55] == 1


def test_strength_and_scale(node):
    PlacedFaces.centres = [(30, 30)]
    image = smooth()
    full = node(image, scale=2)
    assert full[0].shape == (1, 120, 160, 3) and full[1].max() == 1
    half = node(image, scale=2, strength=0.5)
    none = node(image, scale=2, strength=0.0)
    assert none[1].max() == 0 and torch.allclose(
        half[1], full[1] / 2, atol=1e-6)
    # rounded to 8 bits
    assert (half[0] - (full[0] + none[0]) / 2).abs().max() < 1.1 / 255
    assert (full[0] - none[0]).abs().max() > 0.01
    unchanged, mask, count = node(image, strength=0.0)
    assert torch.equal(unchanged, image) and mask.max() == 0 and count == 1


def test_an_image_without_a_face_is_reported(node, caplog):
    image = smooth()
    restored, mask, count = node(image)
    assert torch.equal(restored, image) and mask.max() == 0 and count == 0
    [record] = [one for one in caplog.records if 'Restore Faces' in one.message]
    assert record.levelno == logging.WARNING and 'No face was found' in record.message


def test_the_largest_face(node, caplog):
    PlacedFaces.centres, PlacedFaces.side = [(40, 30)], 2 * LR_SIZE
    assert node(smooth())[2] == 0  # 1.5 times LR by default
    assert '1 large enough' in caplog.text
    assert node(smooth(), max_face_size=2 * LR_SIZE - 1)[2] == 0
    assert node(smooth(), max_face_size=2 * LR_SIZE + 1)[2] == 1


def test_grey_and_alpha(node):
    PlacedFaces.centres = [(30, 30)]
    grey = smooth(channels=1)
    restored, _, count = node(grey)
    assert restored.shape == (1, 60, 80, 3) and count == 1
    image = smooth(channels=4)
    image[..., 3] = torch.linspace(0, 1, 80)
    restored, mask, _ = node(image)
    assert torch.equal(restored[..., 3], image[..., 3])
    assert torch.equal(restored[..., :3], node(image[..., :3])[0])
    restored = node(image, scale=2)[0]
    assert restored.shape == (1, 120, 160, 4)
    assert (restored[0, :, ::2, 3] - image[0, :1, :, 3]).abs().max() < 0.02


@pytest.mark.parametrize('image', [
    torch.rand(60, 80, 3), torch.rand(1, 3, 60, 80), torch.rand(1, 60, 80, 2),
    torch.rand(0, 60, 80, 3), torch.rand(1, 0, 80, 3)])
def test_wrong_shapes_are_errors(node, image):
    with pytest.raises(ValueError, match=r'expected images \(B, H, W, C\)'):
        node(image)


def test_wrong_values_are_errors(node):
    for image in (torch.full((1, 60, 80, 3), torch.nan), smooth() * 255):
        with pytest.raises(BadImage, match=r'floats in \[0, 1\]'):
            node(image)
    with pytest.raises(BadImage, match='Use a smaller scale'):
        node(torch.zeros(1, 2000, 2000, 3), scale=8)


def test_models_that_cannot_be_used_are_errors(node, comfy):
    torch.save({'body.0.weight': torch.zeros(1)}, comfy.models / 'other.pth')
    with pytest.raises(CheckpointMismatch, match='other.pth is not a self-describing'):
        node(smooth(), model='other.pth')
    [kind] = comfy.load().values()
    with pytest.raises(FileNotFoundError, match="no model 'gone.pth' in .*upscale_mod"):
        kind().restore(smooth(), 'gone.pth', 1.0, 0)
    models = kind.INPUT_TYPES()['required']['model'][0]
    assert models[0] == 'small (bundled)' and 'other.pth' in models


def test_the_bundled_network_is_used(node):
    PlacedFaces.centres, PlacedFaces.side = [(40, 30)], 32
    assert node(smooth(), model='compact (bundled)')[2] == 1


def test_a_file_that_changed_is_read_again(node, comfy, model_file):
    PlacedFaces.centres = [(30, 30)]
    first = node(smooth())[0]
    network = add_traits(MODELS.build(dict(CONFIG, channels=4)),
                         dict(size=SIZE, eye_share=0.3))
    [path] = comfy.models.iterdir()
    save_backbone(network, dict(CONFIG, channels=4), path)
    os.utime(path, (1, 1))
    assert not torch.equal(node(smooth())[0], first)


def test_no_detector_is_an_error(node, monkeypatch):
    def missing():
        raise ImportError('no detector: install fdsr[landmarks]')
    monkeypatch.setattr('fdsr.apis.super_resolver.default_photo_detector', missing)
    with pytest.raises(ImportError, match='no detector'):
        node(smooth())


def test_a_missing_fdsr_is_one_line(comfy, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'fdsr.apis', None)
    assert comfy.load() == {}
    [record] = caplog.records
    assert record.levelno == logging.ERROR and '\n' not in record.message
    assert 'fdsr cannot be imported' in record.message


def test_an_outdated_spandrel_is_one_line(comfy, monkeypatch, caplog):
    pytest.importorskip('spandrel', reason='needs fdsr[spandrel]')
    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.3.4')
    assert set(comfy.load()) == {'FdsrRestoreFaces'}  # needs no spandrel
    [record] = caplog.records
    assert record.levelno == logging.ERROR and '\n' not in record.message
    assert 'Load Upscale Model' in record.message and '0.3.4' in record.message


def load_upscale_model(path):
    """The calls of ComfyUI's node *Load Upscale Model*."""
    import safetensors.torch
    import spandrel
    if path.suffix == '.safetensors':
        state = safetensors.torch.load_file(path)
    else:
        state = torch.load(path, weights_only=True)['state_dict']
    found = spandrel.ModelLoader().load_from_state_dict(state).eval()
    assert isinstance(found, spandrel.ImageModelDescriptor)
    return found


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_upscale_image_using_model(comfy, suffix, tmp_path):
    """Loaded and run in tiles of 512 with an overlap of 32, as ComfyUI does."""
    pytest.importorskip('spandrel', reason='needs fdsr[spandrel]')
    comfy.load()
    config = dict(type='fdsr.SRVGG', scale=2, channels=4, convs=2)
    network = MODELS.build(config)
    save_backbone(network, config, tmp_path / f'net{suffix}')
    tile, overlap, side, batch = 512, 32, 600, 2
    image = smooth(batch, side, 40)
    with torch.inference_mode():
        model = load_upscale_model(tmp_path / f'net{suffix}')
        model.to(torch.device('cpu'))
        inputs = image.movedim(-1, -3)
        total = torch.zeros(batch, 3, 2 * side, 80)
        weights = torch.zeros_like(total)
        starts = range(0, side - overlap, tile - overlap)
        assert list(starts) == [0, 480]
        for number in range(batch):
            for start in starts:
                start = max(0, min(side - overlap, start))
                part = inputs[number:number + 1, :, start:start + tile]
                sr = model(part.float())
                mask = torch.ones_like(sr)
                for step in range(2 * overlap):  # feathered borders
                    mask[:, :, step] *= (step + 1) / (2 * overlap)
                    mask[:, :, -1 - step] *= (step + 1) / (2 * overlap)
                rows = slice(2 * start, 2 * start + sr.shape[2])
                total[number:number + 1, :, rows] += sr * mask
                weights[number:number + 1, :, rows] += mask
        tiled = (total / weights).movedim(-3, -1).clamp(0, 1)
        whole = network(inputs).clamp(0, 1).movedim(-3, -1)
    # near a tile's border the network sees zeros in place of neighbours
    assert (tiled - whole)[:, :2 * 480].abs().max() < 1e-5
    assert (tiled - whole)[:, 2 * 512:].abs().max() < 1e-5
    assert (tiled - whole).abs().max() < 0.05


def test_the_registry_metadata():
    """The fields that ComfyUI's registry requires, and the files that it reads."""
    tomllib = pytest.importorskip('tomllib', reason='needs Python 3.11')
    content = tomllib.loads((SOURCE / 'pyproject.toml').read_text('utf-8'))
    from fdsr import __version__
    assert content['project']['version'] == __version__
    assert {'name', 'description', 'license', 'dependencies', 'urls'} <= set(
        content['project'])
    assert {'PublisherId', 'DisplayName', 'Icon'} <= set(content['tool']['comfy'])
    needs = [line for line in (SOURCE / 'requirements.txt').read_text().splitlines()
             if line and not line.startswith('#')]
    assert needs == content['project']['dependencies']
