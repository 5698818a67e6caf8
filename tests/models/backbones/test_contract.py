"""The contract of backbones, over every registered one and some of mmagic's."""

import pytest
import torch
from torch import nn

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.models.autocast import bf16_autocast
from fdsr.models.backbones import Encoder
from fdsr.models.backbones.detected_boxes import DetectedBoxes
from fdsr.models.contract import (
    Backbone,
    Traits,
    add_traits,
    build_backbone,
    traits_of,
)
from fdsr.models.files.checkpoints import CheckpointMismatch, save_backbone
from fdsr.registry import MODELS

ENCODER = dict(type='fdsr.TinyEncoder')
#: The smallest sensible arguments of every backbone but ``scale``.
SMALL = {
    'Bicubic': dict(),
    'CompactSR': dict(channels=8, blocks=1, reduction=2),
    'DictionaryTeacher': dict(encoder=ENCODER, width=0.1, dictionary=dict(num_atoms=3)),
    'DistilledStudent': dict(encoder=ENCODER, width=0.1),
    'ProgressiveFSR': dict(channels=8),
    'RCAN': dict(channels=8, groups=1, blocks=1, reduction=2),
    'RepSR': dict(channels=8, blocks=1, context_channels=8, context_blocks=1),
    'SAFMN': dict(channels=8, blocks=1),
    'SPAN': dict(channels=8, blocks=2),
    'SRFBN': dict(channels=8, steps=2, groups=2),
    'SRVGG': dict(channels=8, convs=2),
    'UnrolledGenerator': dict(network=dict(
        type='mmagic.DICNet', in_channels=3, out_channels=3, mid_channels=8,
        num_blocks=1, hg_mid_channels=8, hg_num_keypoints=5, num_steps=2)),
}
# mmagic's generators do not report their traits.
FOREIGN = {
    'mmagic.MSRResNet': dict(in_channels=3, out_channels=3, mid_channels=8,
                             num_blocks=1),
    'mmagic.RRDBNet': dict(in_channels=3, out_channels=3, mid_channels=8, num_blocks=1,
                           growth_channels=4),
    'mmagic.SwinIRNet': dict(in_chans=3, img_size=8, window_size=4, depths=[1],
                             embed_dim=8, num_heads=[2], upsampler='pixelshuffle'),
}
SIDE = 16


def own_backbones():
    return sorted(name for name, found in MODELS.module_dict.items()
                  if isinstance(found, type) and issubclass(found, Backbone)
                  and found.__module__.startswith('fdsr.'))


def config_of(name, scale):
    if name in FOREIGN:
        key = 'upscale' if 'Swin' in name else 'upscale_factor'
        return dict(type=name, **FOREIGN[name], **{key: scale})
    config = dict(type=f'fdsr.{name}', **SMALL[name])
    if name == 'UnrolledGenerator':
        return dict(config, network=dict(config['network'], upscale_factor=scale))
    if name == 'DictionaryTeacher':
        config['size'] = scale * SIDE
    if name == 'RepSR':
        stages = scale.bit_length() - 2
        config.update(stage_channels=[8] * stages, stage_blocks=[1] * stages)
    if name == 'CompactSR':
        config['stage_channels'] = [8] * (scale.bit_length() - 1)
    return dict(config, scale=scale)


CASES = [(name, scale) for name in [*SMALL, *FOREIGN] for scale in (2, 4, 8)
         if not ('DIC' in str(SMALL.get(name)) and scale != 8)  # its only scale
         and (name, scale) not in {('mmagic.RRDBNet', 8), ('mmagic.MSRResNet', 8)}]


@pytest.fixture(params=CASES, ids=lambda case: f'{case[0]}-x{case[1]}')
def case(request):
    name, scale = request.param
    torch.manual_seed(0)
    config = config_of(name, scale)
    return config, build_backbone(config), scale


def inputs(network, batch=2):
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(batch, 3, SIDE, SIDE, generator=generator)
    if not network.uses_boxes:
        return [lr]
    side = SIDE * network.scale / 64
    boxes = torch.tensor([[8., 8, 28, 28], [34, 8, 54, 28], [22, 22, 42, 42],
                          [18, 40, 46, 58]]) * side
    return [lr, boxes.expand(batch, 4, 4)]


def test_every_backbone_is_tested():
    assert own_backbones() == sorted(SMALL)


def test_it_reports_its_true_scale(case):
    config, network, scale = case
    assert traits_of(network) == Traits(
        scale, size=network.size, eye_share=network.eye_share,
        uses_boxes='Teacher' in config['type'])
    with torch.no_grad():
        sr = network.eval()(*inputs(network))
    assert sr.shape == (2, 3, SIDE * scale, SIDE * scale)
    assert sr.isfinite().all() and sr.dtype == torch.float32


def test_a_single_image_gives_what_the_batch_gives(case):
    _, network, _ = case
    arguments = inputs(network)
    with torch.no_grad():
        both = network.eval()(*arguments)
        second = network(*(value[1:] for value in arguments))
    torch.testing.assert_close(second, both[1:], rtol=1e-4, atol=1e-4)


def test_every_trained_parameter_gets_a_gradient(case):
    _, network, _ = case
    trained = {name: value for name, value in network.named_parameters()
               if value.requires_grad}
    if not trained:
        pytest.skip('it has no parameters')
    if isinstance(network, MODELS.get('fdsr.UnrolledGenerator')):
        pytest.skip("the last heat map of mmagic's DICNet is not part of its images")
    # of a progressive network, earlier images have layers of their own
    steps = getattr(network.train(), 'forward_steps',
                    lambda *values: [network(*values)])
    optimizer = torch.optim.Adam(trained.values(), 1e-4)
    for _ in range(2):  # in the second pass, no value that began with zero is zero
        optimizer.zero_grad()
        sum(output.square().sum() for output in steps(*inputs(network))).backward()
        optimizer.step()
    missing = [name for name, value in trained.items()
               if value.grad is None or not value.grad.any()]
    assert not missing
    assert all(value.grad.isfinite().all() for value in trained.values())


@pytest.mark.parametrize('name', sorted({*SMALL} - {'SAFMN', 'UnrolledGenerator'}))
def test_images_have_full_precision_under_autocast(name):
    network = build_backbone(config_of(name, 4)).eval()
    with torch.no_grad(), bf16_autocast('cpu'):
        assert network(*inputs(network)).dtype == torch.float32
    with torch.no_grad():  # a network in half precision stays in it
        half = network.to(torch.bfloat16)
        values = [value.bfloat16() for value in inputs(network)]
        if name not in ('Bicubic', 'DictionaryTeacher'):
            assert half(*values).dtype == torch.bfloat16


def test_it_is_saved_and_loaded_with_its_traits(case, tmp_path):
    config, network, scale = case
    add_traits(network, dict(size=SIDE * scale, eye_share=0.31))
    save_backbone(network.eval(), config, tmp_path / 'network.pth')
    loaded = load_backbone(tmp_path / 'network.pth')
    assert not loaded.training and traits_of(loaded) == traits_of(network)
    assert loaded.scale == scale and loaded.size == SIDE * scale
    with torch.no_grad():
        assert torch.equal(loaded(*inputs(loaded)), network(*inputs(network)))


def test_its_onnx_export_computes_the_same(case, tmp_path):
    pytest.importorskip('onnxruntime', reason='needs fdsr[onnx]')
    pytest.importorskip('onnx', reason='needs fdsr[onnx]')
    from fdsr.interchange.export import checking, export_onnx
    config, network, scale = case
    if config['type'] in ('fdsr.Bicubic', *FOREIGN, 'fdsr.UnrolledGenerator'):
        pytest.skip('only networks of this project with weights are exported')
    if config['type'] == 'fdsr.DictionaryTeacher' and scale != 4:
        pytest.skip('takes long; tests/interchange/export has x8')
    add_traits(network, dict(size=SIDE * scale, eye_share=0.31))
    save_backbone(network.eval(), config, tmp_path / 'network.pth', licence='CC0-1.0')
    export_onnx(tmp_path / 'network.pth', tmp_path / 'network.onnx')
    session = checking.session(tmp_path / 'network.onnx')
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata['scale'] == str(scale) and metadata['size'] == str(SIDE * scale)
    arguments = inputs(network)
    found, = session.run(['output'], {
        name: value.numpy() for name, value in zip(('input', 'boxes'), arguments)})
    with torch.no_grad():
        expected = network(*arguments)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-3)


# Traits

class Foreign(nn.Module):
    """Reports nothing."""

    def forward(self, lr):
        return nn.functional.interpolate(lr, scale_factor=3)


def test_a_missing_scale_is_measured_once():
    network = Foreign().train()
    with pytest.raises(ValueError, match='Foreign does not describe itself.*scale'):
        traits_of(network)
    assert traits_of(add_traits(network)) == Traits(3) and network.training


def test_recorded_traits_fill_gaps_and_never_contradict():
    network = add_traits(Foreign(), dict(scale=5, size=40, eye_share=0.3))
    assert traits_of(network) == Traits(5, 40, 0.3)
    with pytest.raises(ValueError, match='scale=5, but scale=6 is recorded'):
        add_traits(network, dict(scale=6))
    with pytest.raises(ValueError, match='uses_boxes=False, but uses_boxes=True'):
        add_traits(network, dict(uses_boxes=True))


@pytest.mark.parametrize('values', [
    dict(scale=0), dict(scale=True), dict(scale=2.0), dict(scale=65),
    dict(scale=4, size=3), dict(scale=4, size=10**6), dict(scale=4, eye_share=1.0),
    dict(scale=4, eye_share=float('nan')), dict(scale=4, uses_boxes=None)])
def test_traits_out_of_range_are_errors(values):
    with pytest.raises(ValueError, match='expected .* found'):
        Traits(**values)


def test_a_file_with_another_scale_than_its_network_is_refused(tmp_path):
    config = config_of('RCAN', 4)
    save_backbone(build_backbone(config), config, tmp_path / 'network.pth')
    content = torch.load(tmp_path / 'network.pth', weights_only=True)
    content['meta']['fdsr']['traits']['generator']['scale'] = 8
    torch.save(content, tmp_path / 'network.pth')
    with pytest.raises(CheckpointMismatch, match='scale=4, but scale=8 is recorded'):
        load_backbone(tmp_path / 'network.pth')


def test_an_earlier_file_without_traits_is_read(tmp_path):
    """Files had ``faces``, the geometry of the training set, in place of traits."""
    config = config_of('CompactSR', 4)
    save_backbone(build_backbone(config), config, tmp_path / 'network.pth')
    content = torch.load(tmp_path / 'network.pth', weights_only=True)
    del content['meta']['fdsr']['traits']
    content['meta']['fdsr']['faces'] = dict(size=64, scale=4, eye_share=0.29)
    torch.save(content, tmp_path / 'network.pth')
    assert traits_of(load_backbone(tmp_path / 'network.pth')) == Traits(4, 64, 0.29)
    resolver = FaceSuperResolver(tmp_path / 'network.pth', 'cpu')
    assert (resolver.geometry.scale, resolver.geometry.size) == (4, 64)


def test_the_bundled_weights_are_a_file_of_before(tmp_path):
    network = load_backbone(bundled())
    assert traits_of(network) == Traits(8, 256, network.eye_share)
    assert 0.2 < network.eye_share < 0.35


def bundled():
    from fdsr.weights.shipped import shipped_weights
    return shipped_weights('compact')


# Encoders

class OtherEncoder(Encoder):
    """An encoder of another package."""

    arch, channels = 'other', (4, 5, 6, 7)

    def __init__(self, layout='B'):
        super().__init__(layout)
        self.net = _Strided(self.channels, self.strides)
        self.freeze(True)


class _Strided(nn.Module):
    def __init__(self, channels, strides):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(3, count, stride, stride)
            for count, stride in zip(channels, strides))

    def forward(self, image):
        return {str(level): convolution(image)
                for level, convolution in enumerate(self.convolutions)}


def test_an_encoder_of_another_package_is_used_by_config():
    MODELS.register_module(name='OtherEncoder', module=OtherEncoder, force=True)
    config = dict(config_of('DistilledStudent', 4), encoder=dict(type='OtherEncoder'))
    network = build_backbone(config)
    assert type(network.encoder) is OtherEncoder
    assert network(*inputs(network)).shape == (2, 3, SIDE * 4, SIDE * 4)
    teacher = build_backbone(dict(config_of('DictionaryTeacher', 4),
                                  encoder=dict(type='OtherEncoder')))
    assert not network.shares_encoding_with(teacher)  # other random values
    teacher.encoder.load_state_dict(network.encoder.state_dict())
    assert network.shares_encoding_with(teacher)


def test_something_else_is_not_an_encoder():
    config = dict(config_of('DistilledStudent', 4),
                  encoder=dict(type='fdsr.PixelLoss'))
    with pytest.raises(TypeError):
        build_backbone(config)


def test_boxes_cannot_be_detected_in_images_of_unknown_size():
    network = add_traits(build_backbone(config_of('DictionaryTeacher', 4)))
    network.size = None
    with pytest.raises(ValueError, match='DictionaryTeacher has no size'):
        DetectedBoxes(network)
