"""The contract face512, run in loops written as ReActor's and facefusion's are."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis.networks import FaceGeometry, open_network
from fdsr.geometry.alignment import FFHQ_TEMPLATE_512, five_point_template
from fdsr.interchange.export import checking, export_onnx
from fdsr.interchange.export import onnx as exporting
from fdsr.interchange.export.face512 import EYE_SHARE, Face512, Face512Contract
from fdsr.models.contract import add_traits
from fdsr.models.files.checkpoints import save_backbone
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS
from fdsr.synthetic.portrait import render_portrait
from fdsr.synthetic.sampling import sample_face
from fdsr.weights import weights_follow

pytest.importorskip('onnxruntime', reason='needs fdsr[onnx]')
onnx = pytest.importorskip('onnx', reason='needs fdsr[onnx]')

SRVGG = dict(type='fdsr.SRVGG', channels=8, convs=2)
TEACHER = dict(type='fdsr.DictionaryTeacher', size=64, layout='B', width=0.1,
               encoder=dict(type='fdsr.TinyEncoder'), dictionary=dict(num_atoms=7))
# (network, scale, size, eye share): a crop inside of the frame, and one beyond it
CASES = {'x8': (SRVGG, 8, 64, 0.31), 'x4': (SRVGG, 4, 64, 0.243),
         '16 to 128': (SRVGG, 8, 128, 0.2), 'larger': (SRVGG, 2, 600, 0.31),
         'teacher': (TEACHER, 8, 64, 0.3)}


@pytest.fixture
def weights(tmp_path):
    def save(case='x8', **options):
        config, scale, size, eye_share = CASES[case]
        config = dict(config, scale=scale, **options)
        torch.manual_seed(0)
        with weights_follow():
            network = MODELS.build(config)
        if hasattr(network, 'dictionary'):
            network.dictionary.randomise_()
        add_traits(network, dict(size=size, eye_share=eye_share))
        save_backbone(network, config, tmp_path / 'net.pth', licence='CC0-1.0')
        return tmp_path / 'net.pth'
    return save


@pytest.fixture(scope='module')
def face():
    """Returns a BGR crop, as both programs cut it out."""
    image, _ = render_portrait(sample_face(0, 3, 0), 512, EYE_SHARE)
    return np.ascontiguousarray(image[..., ::-1])


def facefusion(path, crop, weight=0.5):
    """Written as facefusion's prepare, forward and normalize are."""
    session = checking.session(path)
    frame = crop[:, :, ::-1] / 255.0
    frame = np.expand_dims(((frame - 0.5) / 0.5).transpose(2, 0, 1), 0)
    inputs = {}
    for given in session.get_inputs():
        if given.name == 'input':
            inputs['input'] = frame.astype(np.float32)
        if given.name == 'weight':
            inputs['weight'] = np.array([weight]).astype(np.double)
    result = session.run(None, inputs)[0][0]
    result = ((np.clip(result, -1, 1) + 1) / 2).transpose(1, 2, 0)
    return (result * 255.0).round().astype(np.uint8)[:, :, ::-1]


def reactor(path, crop):
    """Written as ReActor's is: it returns the crop if anything fails."""
    try:
        restored = facefusion(path, crop, 1)
    except Exception as error:
        print(f'Failed inference: {error}')
        restored = crop.copy()
    return restored.astype('uint8')


def computed(source, crop, weight=1.0):
    """The same by torch."""
    module = Face512Contract(*open_network(source)).module
    frame = torch.from_numpy(crop[..., ::-1].copy()).permute(2, 0, 1)[None].double()
    with torch.no_grad():
        result = module((frame / 127.5 - 1).float(), torch.tensor([weight]).double())
    image = ((result[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    return image.numpy()[..., ::-1]


def differ(first, second):
    return np.abs(first.astype(int) - second.astype(int))


@pytest.mark.usefixtures('one_slot')
@pytest.mark.parametrize('case', CASES)
def test_both_programs_get_what_torch_computes(case, weights, tmp_path, face):
    source = weights(case)
    done = export_onnx(source, tmp_path / 'net.onnx', contract='face512')
    assert 'restored as ReActor and facefusion do' in done.report[-1]
    expected = computed(source, face)
    for found in (reactor(done.path, face), facefusion(done.path, face)):
        assert differ(found, expected).max() <= 1
        assert differ(found, expected).mean() < 0.01
    assert differ(expected, face).mean() > 1
    session = checking.session(done.path)
    assert [value.name for value in session.get_inputs()] == ['input']
    facts = session.get_modelmeta().custom_metadata_map
    assert facts['contract'] == 'face512' and facts['colours'] == 'RGB in [-1, 1]'


def test_a_weight_mixes_input_and_result(weights, tmp_path, face):
    source = weights()
    done = export_onnx(source, tmp_path / 'net.onnx', contract='face512',
                       weight_input=True)
    given = checking.session(done.path).get_inputs()[1]
    assert (given.name, given.type, given.shape) == ('weight', 'tensor(double)', [1])
    result = computed(source, face)
    assert differ(reactor(done.path, face), result).max() <= 1
    assert (facefusion(done.path, face, 0) == face).all()
    half = (face.astype(int) + result) / 2
    assert np.abs(facefusion(done.path, face, 0.5) - half).max() <= 1.5
    assert differ(facefusion(done.path, face, 7), result).max() <= 1


def test_the_network_sees_the_face_in_its_own_alignment():
    """The template's points of the frame are those of the network's LR."""
    for eye_share in (0.2, 0.243, 0.31):
        geometry = FaceGeometry(128, 8, eye_share)
        to_lr = Face512(MODELS.build(dict(SRVGG, scale=8)), geometry).to_lr
        # the coordinate of each pixel's centre, without the reflection at the ends
        found = to_lr @ torch.arange(512.0)
        points = five_point_template(16, eye_share)
        for axis in (0, 1):
            position = np.interp(points[:, axis], np.arange(16), found)
            np.testing.assert_allclose(position, FFHQ_TEMPLATE_512[:, axis], atol=0.05)


def test_resampling_is_pils(face):
    plane = face[..., 0].astype(np.float32)
    geometry = FaceGeometry(64, 4, 2 * EYE_SHARE)  # the crop has 256 px
    module = Face512(MODELS.build(dict(SRVGG, scale=4)), geometry)
    expected = Image.fromarray(plane).resize((16, 16), Image.BICUBIC,
                                             box=(128, 128, 384, 384))
    found = (module.to_lr @ torch.from_numpy(plane) @ module.to_lr.T).numpy()
    np.testing.assert_allclose(found, np.asarray(expected), atol=0.01)
    small = Image.fromarray(plane).resize((64, 64), Image.BICUBIC)
    large = np.asarray(small.resize((256, 256), Image.BICUBIC))
    found = module.frame(torch.from_numpy(np.array(small))[None, None])[0, 0].numpy()
    inside = slice(128 + 8, 384 - 8)  # PIL has no pixels beyond the border
    np.testing.assert_allclose(found[inside, inside], large[8:-8, 8:-8], atol=0.01)


def test_outside_of_the_crop_the_face_is_unchanged_and_there_is_no_step(weights, face):
    source = weights()
    module = Face512Contract(*open_network(source)).module
    margin = int((512 - module.crop) / 2)
    assert 40 < margin < 60
    change = differ(computed(source, face), face)
    assert change[:margin].max() == change[:, -margin:].max() == 0
    assert change[margin + 80:-margin - 80, margin + 80:-margin - 80].mean() > 5
    steps = module.mask.diff(dim=0).abs().max()
    assert steps < 0.035 and module.mask[256, 256] == 1
    whole = Face512(MODELS.build(dict(SRVGG, scale=8)), FaceGeometry(64, 8, 0.243))
    assert (whole.mask == 1).all()  # the crop is the frame: both programs blend it


def test_a_grey_face_stays_finite_and_grey(weights, tmp_path):
    source = weights('16 to 128')
    done = export_onnx(source, tmp_path / 'net.onnx', contract='face512')
    for value in (0, 135, 255):
        grey = np.full((512, 512, 3), value, np.uint8)
        assert differ(facefusion(done.path, grey), computed(source, grey)).max() <= 1
    frames = np.zeros((2, 3, 512, 512), np.float32)
    with pytest.raises(Exception, match='(?i)dimension'):
        checking.session(done.path).run(None, dict(input=frames))


@pytest.mark.parametrize('option', ['int8', 'fp16'])
def test_reduced_precision(option, weights, tmp_path, face):
    source = weights(channels=32)
    done = export_onnx(source, tmp_path / 'net.onnx', contract='face512',
                       **{option: True})
    session = checking.session(done.path)
    assert session.get_inputs()[0].type == session.get_outputs()[0].type
    assert session.get_inputs()[0].type == 'tensor(float)'
    assert session.get_modelmeta().custom_metadata_map['precision'] == option
    error = differ(reactor(done.path, face), computed(source, face)).mean()
    assert 0 < error < dict(int8=3, fp16=0.5)[option]
    assert any(re.match(f'{option} loses -?0.[0-4]', line) for line in done.report)
    kinds = {node.op_type for node in onnx.load(done.path).graph.node}
    assert ('QuantizeLinear' in kinds) == (option == 'int8')


# What is not kept

def test_a_network_that_only_upsamples_is_refused(tmp_path):
    class Upsampled(torch.nn.Module):
        uses_boxes = False

        def __init__(self):
            super().__init__()
            self.upsample = BicubicUpsample(8)

        def forward(self, lr):
            return self.upsample(lr)

    contract = Face512Contract(Upsampled(), FaceGeometry(512, 8, 0.243))
    exporting._trace(contract, tmp_path / 'net.onnx', any_size=False)
    smooth, _ = render_portrait(sample_face(0, 0, 0), 64, 0.243)
    with pytest.raises(checking.ExportMismatch, match='does not restore'):
        checking.check_host(tmp_path / 'net.onnx', contract, smooth)


def test_a_file_with_other_names_is_refused(weights, tmp_path, face):
    source = weights()
    plain = export_onnx(source, tmp_path / 'plain.onnx').path
    assert reactor(plain, face).shape == (4096, 4096, 3)  # not what ReActor expects
    contract = Face512Contract(*open_network(source))
    with pytest.raises(checking.ExportMismatch, match='Expected input, optionally'):
        checking.check_host(plain, contract, np.zeros((8, 8, 3), np.uint8))


def test_a_damaged_file_is_not_kept(weights, tmp_path, monkeypatch):
    real = exporting._describe

    def damaged(path, *arguments):
        model = onnx.load(path)
        for value in model.graph.initializer:
            if value.name == 'network.to_rgb.bias':
                array = onnx.numpy_helper.to_array(value) + 0.1
                value.CopyFrom(onnx.numpy_helper.from_array(array, value.name))
        onnx.save(model, path)
        real(path, *arguments)
    monkeypatch.setattr(exporting, '_describe', damaged)
    with pytest.raises(checking.ExportMismatch, match='computes something else'):
        export_onnx(weights(), tmp_path / 'out' / 'net.onnx', contract='face512')
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize('name, problem', [
    ('net.bin', 'does not end in .onnx'), ('net-1024.onnx', "'1024'"),
    ('my_CodeFormer.onnx', "'codeformer'")])
def test_names_that_reactor_misunderstands_are_refused(name, problem, weights,
                                                       tmp_path):
    with pytest.raises(ValueError, match=f'ReActor decides by the name.*{problem}'):
        export_onnx(weights(), tmp_path / 'out' / name, contract='face512')
    with pytest.raises(ValueError, match='--weight-input requires --contract face512'):
        export_onnx(weights(), tmp_path / 'out' / 'net.onnx', weight_input=True)
    assert not (tmp_path / 'out').exists()
