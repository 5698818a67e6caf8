"""Exported networks compute what they were made from, or are not kept."""

import errno
import re

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.apis.networks import example_inputs, open_network
from fdsr.interchange.drafts import CannotWrite
from fdsr.interchange.export import checking, export_onnx, quantisation
from fdsr.interchange.export import onnx as exporting
from fdsr.interchange.export.operators import fast_operators
from fdsr.models.contract import add_traits
from fdsr.models.dictionary.roi import BoxRegions
from fdsr.models.files.checkpoints import save_backbone
from fdsr.models.resampling import BicubicUpsample
from fdsr.registry import MODELS
from fdsr.weights import weights_follow

pytest.importorskip('onnxruntime', reason='needs fdsr[onnx]')
pytest.importorskip('onnx', reason='needs fdsr[onnx]')

SIZE, SCALE = 64, 8
ENCODER = dict(type='fdsr.TinyEncoder')
NETWORKS = {
    'compact': dict(type='fdsr.CompactSR', scale=SCALE, channels=8, blocks=2,
                    stage_channels=[8, 8, 4], reduction=2),
    'progressive': dict(type='fdsr.ProgressiveFSR', scale=SCALE, channels=8, alpha=0.5),
    'rcan': dict(type='fdsr.RCAN', scale=SCALE, channels=8, groups=1, blocks=2,
                 reduction=4),
    'srfbn': dict(type='fdsr.SRFBN', scale=SCALE, channels=8, steps=2, groups=2),
    'rep': dict(type='fdsr.RepSR', scale=SCALE, channels=8, blocks=1,
                stage_channels=[8, 8], stage_blocks=[1, 1], context_channels=8,
                context_blocks=1),
    'safmn': dict(type='fdsr.SAFMN', scale=SCALE, channels=8, blocks=1),
    'span': dict(type='fdsr.SPAN', scale=SCALE, channels=8, blocks=2),
    'srvgg': dict(type='fdsr.SRVGG', scale=SCALE, channels=8, convs=2),
    'student': dict(type='fdsr.DistilledStudent', scale=SCALE, encoder=ENCODER,
                    width=0.1),
    'teacher_A': dict(type='fdsr.DictionaryTeacher', size=SIZE, scale=SCALE, layout='A',
                      encoder=ENCODER, width=0.1, dictionary=dict(num_atoms=7)),
    'teacher_B': dict(type='fdsr.DictionaryTeacher', size=SIZE, scale=SCALE, layout='B',
                      encoder=ENCODER, width=0.1, dictionary=dict(num_atoms=7)),
}


#: The sizes of LR besides the trained one.
SIZES = dict(dict.fromkeys(NETWORKS, 'any'), safmn='multiples of 8',
             teacher_A='8 px only', teacher_B='8 px only')


def saved(folder, kind, **options):
    torch.manual_seed(0)
    config = {**NETWORKS[kind], **options}
    with weights_follow():
        network = MODELS.build(config)
    if hasattr(network, 'dictionary'):
        network.dictionary.randomise_()
    path = folder / f'{kind}.pth'
    add_traits(network, dict(size=SIZE, eye_share=0.3))
    save_backbone(network, config, path, licence='CC0-1.0')
    return path


@pytest.fixture
def weights(tmp_path):
    return lambda kind, **options: saved(tmp_path, kind, **options)


def outputs(path, faces):
    named = zip(('input', 'boxes'), faces)
    return checking.session(path).run(
        ['output'], {name: value.numpy() for name, value in named})[0]


def check_other_sizes(path, network, sizes):
    """Other sizes give what torch computes, or an error and never another image."""
    generator = torch.Generator().manual_seed(0)
    for height, width in ((32, 24), (13, 21)):
        lr = torch.rand(2, 3, height, width, generator=generator)
        if sizes != 'any' and (height == 13 or sizes == '8 px only'):
            boxes = [torch.zeros(2, 4, 4)] * network.uses_boxes
            with pytest.raises(Exception, match='(?i)dimension|shape'):
                outputs(path, [lr, *boxes])
            continue
        with torch.no_grad():
            expected = network(lr).numpy()
        np.testing.assert_allclose(outputs(path, [lr]), expected, atol=1e-4)


@pytest.mark.parametrize('scale', [2, 3, 8])
def test_a_file_upsamples_any_size_as_torch_does(scale, tmp_path):
    module, path = BicubicUpsample(scale), tmp_path / 'upsampling.onnx'
    torch.onnx.export(
        module, (torch.rand(1, 3, 8, 8),), path, input_names=['input'], dynamo=False,
        dynamic_axes=dict(input={0: 'batch', 2: 'height', 3: 'width'}))
    network = checking.session(path)
    for shape in ((1, 3, 8, 8), (2, 3, 5, 12), (1, 3, 1, 2)):
        image = torch.rand(shape)
        found, = network.run(None, dict(input=image.numpy()))
        np.testing.assert_allclose(found, module(image), atol=1e-6)


@pytest.mark.parametrize('factor', [2, 3, 8])
def test_a_file_shuffles_pixels_of_any_size_as_torch_does(factor, tmp_path):
    import onnx
    module, path = torch.nn.PixelShuffle(factor), tmp_path / 'shuffle.onnx'

    def operators():
        torch.onnx.export(
            module, (torch.rand(1, 2 * factor**2, 4, 4),), path, input_names=['input'],
            dynamic_axes=dict(input={0: 'batch', 2: 'height', 3: 'width'}),
            opset_version=exporting.OPSET, dynamo=False)
        return {node.op_type for node in onnx.load(path).graph.node}

    with fast_operators(exporting.OPSET):
        assert 'DepthToSpace' not in operators()
    network = checking.session(path)
    for shape in ((4, 4), (3, 5), (1, 1)):
        feature = torch.rand(2, 2 * factor**2, *shape)
        found, = network.run(None, dict(input=feature.numpy()))
        np.testing.assert_array_equal(found, module(feature))
    assert 'DepthToSpace' in operators()  # the exporter is as it was


@pytest.mark.parametrize('kind', NETWORKS)
def test_any_batch_and_size_is_what_torch_computes(kind, weights, tmp_path):
    source = weights(kind)
    done = export_onnx(source, tmp_path / 'out' / 'net.onnx')
    network, setting = open_network(source)
    for batch in (1, 4):
        faces = list(example_inputs(network, setting, batch))
        if len(faces) == 2:  # other boxes in each sample, some beyond the picture
            shift = torch.arange(batch * 16).reshape(batch, 4, 4) % 7 - 3.0
            faces[1] = faces[1] + 3 * shift
        with torch.no_grad():
            wanted = network(*faces)
        assert np.abs(outputs(done.path, faces) - wanted.numpy()).max() < 1e-4
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['net.onnx']
    assert 'onnxruntime differs by at most' in done.report[0]
    assert done.report[1] == f'size of LR: {SIZES[kind]}'
    check_other_sizes(done.path, network, SIZES[kind])
    choices = re.search(r'the case for (\d+) of (\d+)', done.report[0])
    if kind.startswith('teacher'):
        assert choices[1] == choices[2] == str(4 * 16)  # 4 faces, 4 levels, 4 parts
    else:
        assert choices is None


def test_the_file_tells_what_it_is(weights, tmp_path):
    done = export_onnx(weights('compact'), tmp_path / 'net.onnx')
    facts = checking.session(done.path).get_modelmeta()
    facts = facts.custom_metadata_map
    assert facts['network'] == 'CompactSR' and facts['size'] == '64'
    assert facts['scale'] == '8' and facts['eye_share'] == '0.3'
    assert facts['licence'] == 'CC0-1.0' and facts['contract'] == 'sr'
    assert facts['lr_sizes'] == 'any' and facts['precision'] == 'fp32'


def test_large_values_stand_beside(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, 'MOST_INLINE_BYTES', 1000)
    source = weights('student')
    done = export_onnx(source, tmp_path / 'out' / 'net.onnx')
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['net.onnx', 'net.onnx.data']
    assert (tmp_path / 'out/net.onnx.data').stat().st_size > done.path.stat().st_size
    network, setting = open_network(source)
    faces = example_inputs(network, setting, 2)
    with torch.no_grad():
        wanted = network(*faces).numpy()
    assert np.abs(outputs(done.path, faces) - wanted).max() < 1e-4


@pytest.mark.usefixtures('one_slot')
@pytest.mark.parametrize('kind', ['compact', 'teacher_B'])
def test_a_network_that_computes_something_else_is_not_kept(
        kind, weights, tmp_path, monkeypatch):
    source = weights(kind)
    real = exporting._save

    def damaged(model, path, large):
        """The last convolution's bias, or the first atoms, are others."""
        import onnx
        for value in model.graph.initializer:
            array = onnx.numpy_helper.to_array(value)
            if kind == 'compact' and value.name.endswith('to_rgb.bias'):
                value.CopyFrom(onnx.numpy_helper.from_array(array + 0.1, value.name))
            if kind != 'compact' and 7 in array.shape:
                flipped = np.ascontiguousarray(np.flip(array, array.shape.index(7)))
                value.CopyFrom(onnx.numpy_helper.from_array(flipped, value.name))
        real(model, path, large)
    monkeypatch.setattr(exporting, '_save', damaged)
    with pytest.raises(checking.ExportMismatch, match='computes something else'):
        export_onnx(source, tmp_path / 'out' / 'net.onnx')
    assert list((tmp_path / 'out').iterdir()) == []


def test_quantised_to_int8(weights, tmp_path):
    source = weights('compact', channels=16, stage_channels=[16, 8, 8])
    full = export_onnx(source, tmp_path / 'full.onnx')
    small = export_onnx(source, tmp_path / 'small.onnx', int8=True)
    assert small.path.stat().st_size < full.path.stat().st_size
    firsts = [line.split()[0] for line in small.report]
    assert firsts == ['onnxruntime', 'size', 'int8:', 'int8']
    # what it says is lost, computed again from the two files
    from fdsr.registry import DATASETS
    drawn = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', size=SIZE, first=500_000, length=64,
        test_mode=True, pipeline=[]))
    pictures = []
    for index in range(48, 64):
        hr = drawn[index]['img']
        small_face = Image.fromarray(hr).resize((SIZE // SCALE,) * 2, Image.BICUBIC)
        lr = torch.from_numpy(np.array(small_face)).permute(2, 0, 1)[None].float() / 255
        pictures.append([np.rint(np.clip(outputs(one.path, [lr])[0], 0, 1) * 255)
                         for one in (full, small)] + [hr.transpose(2, 0, 1)])
    pictures = np.array(pictures, np.float64)

    def mean_psnr(first, second):
        error = ((pictures[:, first] - pictures[:, second])**2).mean((1, 2, 3))
        return (20 * np.log10(255 / np.sqrt(error))).mean()
    lost, before, after, apart = (float(number) for number in re.search(
        r'loses (-?[\d.]+) dB against HR \(([\d.]+) to ([\d.]+)\) and is ([\d.]+) dB',
        small.report[3]).groups())
    assert before == pytest.approx(mean_psnr(0, 2), abs=0.01)
    assert after == pytest.approx(mean_psnr(1, 2), abs=0.01)
    assert apart == pytest.approx(mean_psnr(0, 1), abs=0.01)
    assert lost == pytest.approx(before - after, abs=0.011)
    assert 20 < apart < 90  # it was rounded, and not ruined


def test_half_precision_reports_its_error(weights, tmp_path):
    source = weights('compact', channels=24, stage_channels=[24, 8, 8])
    full = export_onnx(source, tmp_path / 'full.onnx')
    half = export_onnx(source, tmp_path / 'half.onnx', fp16=True)
    assert half.path.stat().st_size < 0.7 * full.path.stat().st_size
    session = checking.session(half.path)
    assert {value.type for value in (*session.get_inputs(), *session.get_outputs())
            } == {'tensor(float)'}
    assert session.get_modelmeta().custom_metadata_map['precision'] == 'fp16'
    worst, mean = map(float, re.search(
        r'at most ([\d.]+) and by ([\d.]+) on average', half.report[-1]).groups())
    errors, halved = [], open_network(source)[0].half()
    for face in quantisation.calibration_faces(open_network(source)[1])[48:]:
        small = np.array(Image.fromarray(face).resize((SIZE // SCALE,) * 2, 3))
        lr = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            rounded = halved(lr.half()).float().numpy()
        errors.append(255 * abs(outputs(full.path, [lr]) - rounded))
    # torch rounds in other places, too
    assert 0.5 < mean / np.mean(errors) < 2 and 0.3 < worst / np.max(errors) < 3
    assert re.search(r'loses -?0.0\d dB against HR', half.report[-2])


def test_a_network_beyond_the_range_of_fp16_is_refused(weights, tmp_path):
    source = weights('srvgg')
    network, _ = open_network(source)
    with torch.no_grad():
        network.body[0].weight.mul_(1e6)
        network.to_rgb.weight.div_(1e4)
    save_backbone(network, NETWORKS['srvgg'], source, licence='CC0-1.0')
    export_onnx(source, tmp_path / 'net.onnx')
    with pytest.raises(checking.ExportMismatch, match='range or the precision of fp16'):
        export_onnx(source, tmp_path / 'out' / 'net.onnx', fp16=True)
    assert list((tmp_path / 'out').iterdir()) == []


def test_quantised_by_faces_of_a_folder(weights, tmp_path):
    source = weights('compact')
    folder = tmp_path / 'faces'
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), 'u1')
        Image.fromarray(noise).save(folder / f'{number}.png')
    with pytest.raises(ValueError, match='3 faces'):
        export_onnx(source, tmp_path / 'net.onnx', int8=True, faces=folder)
    Image.fromarray(noise[:, :32]).save(folder / 'wide.png')
    with pytest.raises(ValueError, match='squares'):
        export_onnx(source, tmp_path / 'net.onnx', int8=True, faces=folder)
    assert not (tmp_path / 'net.onnx').exists()
    Image.fromarray(noise).save(folder / 'wide.png')
    done = export_onnx(source, tmp_path / 'net.onnx', int8=True, faces=folder)
    assert f'mean PSNR of 1 faces of {folder}' in done.report[3]


def test_what_is_refused(weights, tmp_path):
    with pytest.raises(ValueError, match='other atoms'):
        export_onnx(weights('teacher_B'), tmp_path / 'net.onnx', int8=True)
    with pytest.raises(ValueError, match='other atoms'):
        export_onnx(weights('teacher_B'), tmp_path / 'net.onnx', fp16=True)
    with pytest.raises(ValueError, match='exclude each other'):
        export_onnx(weights('compact'), tmp_path / 'net.onnx', int8=True, fp16=True)
    with pytest.raises(ValueError, match="'face1024'; expected one of sr, face512"):
        export_onnx(weights('compact'), tmp_path / 'net.onnx', contract='face1024')
    with pytest.raises(ValueError, match='no parameters'):
        export_onnx('configs/bicubic_vggface2.py', tmp_path / 'net.onnx')
    with pytest.raises(IsADirectoryError, match='found the folder'):
        export_onnx(weights('compact'), tmp_path)
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        export_onnx(tmp_path / 'absent.pth', tmp_path / 'net.onnx')
    full = saved(tmp_path, 'teacher_A', layout='dfdnet512', size=512, scale=1,
                 encoder=dict(type='fdsr.TinyEncoder'))
    with pytest.raises(ValueError, match='3 GiB'):
        export_onnx(full, tmp_path / 'net.onnx')


def test_no_space_left_leaves_nothing(weights, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(exporting.torch.onnx, 'export', full)
    out = tmp_path / 'out'
    with pytest.raises(CannotWrite, match='out cannot be written.*Free space'):
        export_onnx(weights('compact'), out / 'net.onnx')
    assert list(out.iterdir()) == []


def test_absent_packages_are_named(weights, tmp_path, monkeypatch):
    monkeypatch.setattr('fdsr.interchange.export.onnx.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'fdsr\[onnx\]'):
        export_onnx(weights('compact'), tmp_path / 'net.onnx')


def test_pasting_by_products_is_pasting():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        boxes = torch.randint(-20, 84, (5, 4), generator=generator).float()
        regions = BoxRegions(boxes, 4, (16, 16))
        feature = torch.rand(5, 3, 16, 16, generator=generator)
        window = regions.cut(torch.rand(5, 3, 16, 16, generator=generator))
        assert torch.equal(regions.pasted(feature, window),
                           regions.paste_(feature.clone(), window))
