"""fdsr's files in spandrel: recognized by their values, with the same results."""

import importlib.metadata

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.apis.networks import open_network
from fdsr.interchange.publishing import publish
from fdsr.interchange.recognition import (
    READERS,
    member_name,
    multiple_of,
    recognize,
)
from fdsr.interchange.spandrel import install
from fdsr.models.contract import add_traits
from fdsr.models.files import CheckpointMismatch
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS
from fdsr.weights import weights_follow
from tests.conftest import REPOSITORY
from tests.in_process import call_tool
from tests.interchange.conversion import official

spandrel = pytest.importorskip('spandrel', reason='needs fdsr[spandrel]')

CONFIGS = {
    'RepSR': dict(scale=8, channels=8, blocks=2, stage_channels=[6, 4],
                  stage_blocks=[1, 0], context_channels=10, context_blocks=1),
    'RepSR x2': dict(scale=2, channels=6, blocks=1, stage_channels=[], stage_blocks=[],
                     context_channels=7, context_blocks=2),
    'CompactSR': dict(scale=4, channels=12, blocks=2, stage_channels=[9, 7],
                      reduction=4),
    'SPAN': dict(scale=3, channels=8, blocks=2),
    'SAFMN': dict(scale=4, channels=8, blocks=2, growth=3),
    'SRVGG': dict(scale=4, channels=8, convs=2),
    'RCAN': dict(scale=4, channels=10, groups=2, blocks=3, reduction=4),
    'SRFBN': dict(scale=4, channels=6, steps=2, groups=3),
    'ProgressiveFSR': dict(scale=4, channels=8, alpha=0.375),
    # sides of SR must be a multiple of 8, those of LR therefore of 2
    'DistilledStudent': dict(scale=4, layout='B', width=0.05, encoder=dict(
        type='fdsr.FeatureEncoder', arch='vgg16', pretrained=None)),
}
#: Largest differences from fp32 in steps of 1/255; bfloat16 has 8 significant bits.
HALF_ERROR, BFLOAT16_ERROR = 1.0, 8.0


def built(name):
    torch.manual_seed(0)
    config = dict(CONFIGS[name], type=f'fdsr.{name.split()[0]}')
    with weights_follow():
        network = MODELS.build(config)
    return config, add_traits(network, dict(size=32)).eval()


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A function that returns the published file of a network."""
    folder, files = tmp_path_factory.mktemp('published'), {}

    def get(name):
        if name not in files:
            config, network = built(name)
            source = folder / f'{name}.pth'
            save_backbone(network, config, source)
            files[name] = publish(source, folder / 'out', name.replace(' ', '-'),
                                  licence='CC0-1.0').path
        return files[name]
    return get


@pytest.fixture(autouse=True)
def installed():
    assert install() == [f'fdsr.{kind}' for kind in READERS]


def plain_registry():
    """spandrel's own architectures."""
    registry = spandrel.ArchRegistry()
    registry.add(*(support for support in spandrel.MAIN_REGISTRY
                   if not support.architecture.id.startswith('fdsr.')))
    return registry


def compare(descriptor, network, images):
    """Checks that a descriptor returns the output of fdsr's network."""
    with torch.no_grad():
        expected = network(images).clamp(0, 1)
    found = descriptor(images.clone())
    assert found.shape == expected.shape
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.3  # not only clamped
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize('name', CONFIGS)
def test_published_files_reproduce_the_output(name, published):
    network = load_backbone(published(name))
    found = spandrel.ModelLoader().load_from_file(published(name))
    assert found.architecture.id == f'fdsr.{name.split()[0]}'
    assert (found.scale, found.purpose) == (CONFIGS[name]['scale'], 'FaceSR')
    assert (found.input_channels, found.output_channels) == (3, 3)
    step = found.size_requirements.multiple_of
    assert step == (2 if name == 'DistilledStudent' else 1)
    if step == 1:
        compare(found, network, torch.rand(3, 3, 16, 16))
        photo = torch.rand(1, 3, 37, 53)
        compare(found, network, photo)
        assert found.size_requirements.none
        for size in ((1, 1), (1, 7), (2, 3)):
            compare(found, network, torch.rand(1, 3, *size))
    else:  # spandrel pads and crops
        compare(found, network, torch.rand(2, 3, 4, 4))
        photo = torch.rand(1, 3, 5, 9)
        padded = torch.nn.functional.pad(photo, (0, 1, 0, 1), 'reflect')
        with torch.no_grad():
            expected = network(padded)[..., :5 * 4, :9 * 4]
        assert (found(photo) - expected).abs().max() < 1e-5


def test_the_bundled_network(shared_faces_public):
    import numpy as np
    from PIL import Image

    from fdsr.weights.shipped import SHIPPED, shipped_weights
    paths = sorted(shared_faces_public.rglob('*.jpg'))[:1]
    assert paths
    for name in SHIPPED:
        network, geometry = open_network(name)
        found = spandrel.ModelLoader().load_from_file(shipped_weights(name))
        side = geometry.lr_size
        faces = [np.asarray(Image.open(path).convert('RGB').resize((side, side)))
                 for path in paths]
        faces = torch.from_numpy(np.stack(faces)).movedim(-1, 1) / 255
        compare(found, network, faces)
        compare(found, network, torch.rand(1, 3, 37, 53))
        assert found.scale == geometry.scale


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('name', ['RepSR', 'SPAN'])
def test_unfused_files(name, suffix, tmp_path):
    """Training forms, in both formats; spandrel's loader runs no code of a file."""
    config, network = built(name)
    for kind, parameter in network.named_parameters():
        if kind.endswith(('point', 'reduce')):  # zero at first: the branches do nothing
            torch.nn.init.normal_(parameter, std=0.1)
    save_backbone(network, config, tmp_path / f'net{suffix}')
    found = spandrel.ModelLoader().load_from_file(tmp_path / f'net{suffix}')
    assert found.model.fused
    compare(found, network, torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize('name', CONFIGS)
def test_only_one_detector_accepts(name):
    """With and without a prefix; spandrel's own detectors come after fdsr's."""
    kind = name.split()[0]
    state = built(name)[1].state_dict()
    for values in (state, {f'generator.{key}': value for key, value in state.items()}):
        accepted = [one for one in READERS if recognize(one, values)]
        assert accepted == [kind]
        order = [support.architecture.id for support in
                 spandrel.MAIN_REGISTRY.architectures('detection')
                 if support.detect(dict(values))]
        assert order[0] == f'fdsr.{kind}'
        assert order[1:] == (['Compact'] if 'body.1.weight' in values else [])


@pytest.mark.parametrize('arch, layout, width', [
    ('vgg16', 'A', 0.05), ('vgg19', 'A', 0.3), ('vgg19', 'B', 0.05)])
def test_students_of_every_encoder(arch, layout, width):
    encoder = dict(type='fdsr.FeatureEncoder', arch=arch, pretrained=None)
    with weights_follow():
        network = MODELS.build(dict(type='fdsr.DistilledStudent', scale=8, width=width,
                                    layout=layout, encoder=encoder))
    found = recognize('DistilledStudent', {
        f'{member_name(network)}.{key}': one
        for key, one in network.state_dict().items()})
    assert found.missing is None and found.config['scale'] == 8
    assert (found.config['layout'], found.config['encoder']) == (layout, encoder)
    assert multiple_of(network) == (2 if layout == 'A' else 1)


@pytest.mark.parametrize('alpha', [1.0, 0.0, 0.375, 1e-05, 2 / 30000])
def test_the_member_states_alpha_exactly(alpha):
    network = MODELS.build(dict(type='fdsr.ProgressiveFSR', channels=8, alpha=alpha))
    member = member_name(network)
    assert '.' not in member
    found = recognize('ProgressiveFSR', {
        f'{member}.{key}': one for key, one in network.state_dict().items()})
    assert found.config['alpha'] == alpha and found.missing is None


def test_files_of_other_architectures_are_not_accepted():
    from spandrel.architectures import ESRGAN, RCAN, SAFMN, SPAN, Compact
    others = dict(
        Compact=Compact.Compact(num_feat=8, num_conv=2),
        SPAN=SPAN.SPAN(num_in_ch=3, num_out_ch=3), SAFMN=SAFMN.SAFMN(dim=8, n_blocks=2),
        ESRGAN=ESRGAN.ESRGAN(num_filters=8, num_blocks=2),
        RCAN=RCAN.RCAN(n_resgroups=2, n_resblocks=2, n_feats=16))
    for name, network in others.items():
        state = network.state_dict()
        for values in (state, {f'generator.{key}': one for key, one in state.items()}):
            assert not [kind for kind in READERS if recognize(kind, values)]
        found = spandrel.ModelLoader().load_from_state_dict(network.state_dict())
        assert found.architecture.id == name


@pytest.mark.parametrize('change', [
    lambda state: {}, lambda state: {**state, 'head.weight': 1},
    lambda state: {**state, 'head.weight': torch.zeros(())},
    lambda state: {key: one for key, one in state.items() if key != 'to_rgb.bias'},
    lambda state: {**state, 'more.weight': torch.zeros(1)},
    lambda state: {**state, 'to_rgb.weight': torch.zeros(3, 7, 5, 5)},
    lambda state: {f'{name}.{key}': one for name in ('generator', 'generator_ema')
                   for key, one in state.items()},
    lambda state: {**state, 'stages.0.up.0.weight': torch.zeros(0, 12, 3, 3)},
    lambda state: {**state, **{f'body.{number}.conv.weight': torch.zeros(1)
                               for number in range(3, 3000)}}])
def test_damaged_state_dicts_are_not_accepted(change):
    state = change(built('CompactSR')[1].state_dict())
    assert not [kind for kind in READERS if recognize(kind, state)]
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict(state)


def test_values_that_are_not_finite_are_refused():
    state = built('SRVGG')[1].state_dict()
    state['to_rgb.bias'][0] = float('nan')
    with pytest.raises(CheckpointMismatch, match='to_rgb.bias holds values .*finite'):
        spandrel.ModelLoader().load_from_state_dict(state)


@pytest.mark.parametrize('name, argument', [('SRFBN', 'steps'),
                                            ('DistilledStudent', 'scale'),
                                            ('ProgressiveFSR', 'alpha')])
def test_what_the_values_do_not_state_is_not_assumed(name, argument, published):
    network = load_backbone(published(name))
    state = {f'generator.{key}': one for key, one in network.state_dict().items()}
    with pytest.raises(ValueError, match=f'does not state the {argument} of {name}'):
        spandrel.ModelLoader().load_from_state_dict(state)


@pytest.mark.parametrize('name', CONFIGS)
def test_half_precision(name, published):
    found = spandrel.ModelLoader().load_from_file(published(name))
    images = torch.rand(1, 3, 4, 4)
    expected = found(images.clone())
    found.bfloat16()
    error = (found(images.bfloat16()).float() - expected).abs().max() * 255
    assert error < BFLOAT16_ERROR
    found.float()
    if not found.supports_half:
        assert name in ('RCAN', 'SRFBN')
        with pytest.raises(spandrel.UnsupportedDtypeError):
            found.half()
        return
    found.half()
    error = (found(images.half()).float() - expected).abs().max() * 255
    assert error < HALF_ERROR


def test_a_second_install_changes_nothing():
    before = spandrel.MAIN_REGISTRY.architectures('detection')
    install()
    assert spandrel.MAIN_REGISTRY.architectures('detection') == before


def test_an_old_or_missing_spandrel_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.3.4')
    with pytest.raises(ImportError, match=r'spandrel 0\.3\.4 is too old.*0\.4\.1'):
        install()
    monkeypatch.setitem(__import__('sys').modules, 'spandrel', None)
    with pytest.raises(ImportError, match='cannot be imported.*fdsr.spandrel'):
        install()


def published_with_authors_keys(config, folder, *options):
    config = dict(config)
    torch.manual_seed(0)
    save_backbone(MODELS.build(config), config, folder / 'source.pth')
    return call_tool(
        REPOSITORY / 'tools/publish_model.py', folder / 'source.pth', '--name', 'net',
        '--out', folder / 'out', '--licence', 'MIT', '--authors-keys', *options)


@pytest.mark.parametrize('options', [(), ('--fp32', )])
def test_plain_spandrel_opens_rcan_in_the_authors_names(options, tmp_path):
    config = dict(CONFIGS['RCAN'], type='fdsr.RCAN')
    done = published_with_authors_keys(config, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / 'out').glob('net-*-authors.pth')
    assert str(path) in done.stdout
    shapes = {key: value.shape for key, value in torch.load(path).items()}
    assert {'sub_mean.weight', 'add_mean.bias', 'head.0.weight', 'tail.0.2.bias',
            'body.1.body.2.body.3.conv_du.2.weight', 'body.1.body.3.weight',
            'body.2.bias'} <= set(shapes)
    assert set(shapes) == set(official.rcan_state(4))  # groups and blocks are equal
    loader = spandrel.ModelLoader(registry=plain_registry())
    found = loader.load_from_file(path)
    assert (found.architecture.id, found.scale) == ('RCAN', 4)
    [ours] = {*(tmp_path / 'out').glob('net-*')} - {
        path, *(tmp_path / 'out').glob('*.md')}
    network = load_backbone(ours)
    compare(found, network, torch.rand(2, 3, 16, 16))
    compare(found, network, torch.rand(1, 3, 37, 53))


def test_srfbn_in_the_authors_names(tmp_path):
    config = dict(CONFIGS['SRFBN'], type='fdsr.SRFBN', steps=4)
    assert published_with_authors_keys(config, tmp_path).returncode == 0
    [path] = (tmp_path / 'out').glob('net-*-authors.pth')
    state = torch.load(path)
    assert set(state) == set(official.srfbn_state(4))
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader(registry=plain_registry()).load_from_file(path)
    [ours] = {*(tmp_path / 'out').glob('net-*')} - {
        path, *(tmp_path / 'out').glob('*.md')}
    compare(spandrel.ModelLoader().load_from_file(path), load_backbone(ours),
            torch.rand(2, 3, 9, 11))
    state['add_mean.bias'] = state['add_mean.bias'] + 9
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict(state)


@pytest.mark.parametrize('name, message', [
    ('SRVGG', 'only RCAN and SRFBN'), ('SRFBN', 'SRFBN of 2 steps')])
def test_networks_without_authors_names_are_refused_first(name, message, tmp_path):
    config = dict(CONFIGS[name], type=f'fdsr.{name}')
    done = published_with_authors_keys(config, tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert not (tmp_path / 'out').exists()
