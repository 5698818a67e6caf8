"""A model file can name registered networks and nothing else, at any depth."""

import subprocess
import threading

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.cli.infer import main
from fdsr.models.files import Budget, build_network
from fdsr.models.files.checkpoints import CheckpointMismatch, save_backbone
from fdsr.registry import MODELS
from tests import toy
from tests.hostile import Code, config_calls
from tests.models.files import files

#: Where a type can occur in the config of a backbone.
POSITIONS = {
    'backbone': lambda part: part,
    'network': lambda part: dict(type='fdsr.UnrolledGenerator', network=part),
    'network of a network': lambda part: dict(
        type='fdsr.UnrolledGenerator',
        network=dict(type='fdsr.UnrolledGenerator', network=part)),
    'encoder': lambda part: {**toy.STUDENT, 'encoder': part},
    'dictionary': lambda part: {**toy.TEACHER, 'dictionary': part},
    'list': lambda part: dict(type='fdsr.CompactSR', stage_channels=[8, part]),
    'deep': lambda part: {**toy.STUDENT, 'encoder': dict(arch=dict(a=[[part]]))},
}
TYPES = [
    'subprocess.Popen', 'torch.nn.Sequential', 'Sequential', 'mmengine.BaseModel',
    'fdsr.FeatureDistiller', 'FaceTester', 'fdsr.PerceptualLoss', 'PixelLoss',
    'fdsr.FeatureDiscriminator', 'fdsr.FacePreprocessor', 'mmagic.DiffusersWrapper',
    'mmagic.BasicVSRNet', 'mmagic.fdsr.RCAN', 'fdsr.mmagic.DICNet', 'fdsr..RCAN',
    'fdsr.models.backbones.rcan.RCAN', 'mmengine.runner.Runner', ' fdsr.RCAN',
    'fdsr.rcan', '', None, 5, ['fdsr.RCAN'], 'model.RCAN', 'DICNet']


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.pth'


@pytest.fixture
def no_process(monkeypatch):
    """No config starts a process."""
    started = []
    monkeypatch.setattr(subprocess, 'Popen',
                        lambda *args, **kwargs: started.append(args or kwargs))
    yield
    assert not started


@pytest.mark.parametrize('position', POSITIONS)
def test_no_function_is_called_wherever_it_is_named(position, tmp_path, path,
                                                    no_process):
    for payload in config_calls(tmp_path / 'trace'):
        files.write(path, POSITIONS[position](payload))
        with pytest.raises(CheckpointMismatch) as error:
            load_backbone(path)
        for part in (str(path), payload['type'], 'cannot be built from a model file'):
            assert part in str(error.value)
        assert not (tmp_path / 'trace').exists()


def test_the_registry_would_call_it(tmp_path):
    MODELS.build(config_calls(tmp_path / 'trace')[0])
    assert (tmp_path / 'trace').exists()


@pytest.mark.parametrize('kind', TYPES, ids=str)
@pytest.mark.parametrize('position', ['backbone', 'network'])
def test_only_registered_networks_are_built(position, kind, path, no_process):
    files.write(path, POSITIONS[position](dict(type=kind)))
    with pytest.raises(CheckpointMismatch, match=r'model\.pth: config.*\.type is '):
        load_backbone(path)


@pytest.mark.parametrize('change, message', [
    (dict(_scope_='mmengine'), "'_scope_', which a model file cannot set"),
    (dict(init_cfg=dict(type='Pretrained', checkpoint='x')), "has 'init_cfg'"),
    (dict(colour=1), "unexpected keyword .* 'colour'.*It accepts scale, channels"),
    (dict(scale='four'), "config.scale: .*found 'four'"),
    (dict(reduction=100), 'RCAN cannot be built .*ValueError: RCAN: reduction'),
    (dict(channels='x'), 'RCAN cannot be built .*TypeError'),
    (dict(channels=-1), 'RCAN cannot be built .*Error'),
    (dict(channels=None), 'RCAN cannot be built .*TypeError'),
    (dict(scale=2**20), 'config.scale: expected an integer from 1 to 64'),
    (dict(scale=2.5), 'config.scale: .*an integer.*found 2.5'),
    (dict(type='fdsr.SRFBN', steps=257), 'config.steps: .*an integer from 1 to 256'),
    (dict(type='fdsr.DictionaryTeacher', size=64.5), 'config.size: .*found 64.5'),
    (dict(type='fdsr.DictionaryTeacher', eye_share=-1.0), 'eye_share: .*0 and 1'),
    (dict(channels=2**40), 'expected a 32-bit integer'),
    (dict(channels=float('nan')), 'expected a finite number'),
    (dict(channels=torch.ones(1)), 'expected a plain, finite value, found a value of'),
    (dict(channels={1: 2}), 'expected string keys, found 1'),
])
def test_arguments_are_checked(change, message, path):
    files.write(path, {**files.TINY, **change})
    with pytest.raises(CheckpointMismatch, match=rf'model\.pth.*{message}'):
        load_backbone(path)


def test_a_missing_type_or_argument_is_named(path):
    for config, message in [
            (dict(scale=2), 'has no type'), ({}, 'has no type'),
            (dict(type='fdsr.UnrolledGenerator'), "required argument: 'network'"),
            (dict(type='mmagic.SwinIRNet', colour=1), 'arguments colour'),
            ({**toy.STUDENT, 'encoder': dict(colour=1)}, 'TypeError'),
            ({**toy.TEACHER, 'dictionary': dict(num_atoms=2, dtype='load')},
             'TypeError'),
            ({**toy.TEACHER, 'dictionary': dict(num_atoms=2, sides={})}, 'KeyError')]:
        files.write(path, config)
        with pytest.raises(CheckpointMismatch, match=rf'model\.pth.*{message}'):
            load_backbone(path)


@pytest.mark.parametrize('kind', ['encoder', 'dictionary'])
def test_files_that_a_config_names_are_loaded_safely(kind, tmp_path, path):
    code = tmp_path / 'code.pth'
    torch.save(dict(format='fdsr-dictionary', meta=Code(tmp_path / 'trace')), code)
    from fdsr.weights import RefusedCheckpointError, sha256_of
    config = ({**toy.TEACHER, 'dictionary': dict(file=str(code))}
              if kind == 'dictionary' else
              {**toy.STUDENT, 'encoder': dict(arch='vgg16', pretrained=str(code),
                                              sha256=sha256_of(code))})
    with pytest.raises(RefusedCheckpointError, match=r'code\.pth.*mkdir'):
        load_backbone(files.write(path, config))
    assert not (tmp_path / 'trace').exists()


@pytest.mark.parametrize('config', [
    dict(type='subprocess.Popen', args=['touch', 'x']),
    POSITIONS['network'](dict(type='torch.nn.Sequential'))], ids=['Popen', 'nested'])
def test_the_command_and_the_resolver_refuse_it(config, path, tmp_path, no_process):
    files.write(path, config)
    with pytest.raises(CheckpointMismatch, match=r'model\.pth'):
        FaceSuperResolver(path, 'cpu')
    face = tmp_path / 'face.png'
    from PIL import Image
    Image.new('RGB', (8, 8), 'grey').save(face)
    with pytest.raises(SystemExit, match=r'model\.pth.*cannot be built from a model'):
        main([str(face), '--weights', str(path), '--out', str(tmp_path / 'out')])


# What still loads

@MODELS.register_module()
class PluginNet(nn.Module):
    """As a plugin has it: a part of another kind, a buffer that is not saved."""

    scale = 1

    def __init__(self, width=4, **options):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, **options)
        self.register_buffer('mask', torch.full((4, 4), float('-inf')))
        self.register_buffer('grid', torch.arange(9.), persistent=False)

    def forward(self, lr):
        return lr


@MODELS.register_module()
class PluginModule(BaseModule):
    """A module of mmengine's, called with boxes."""

    uses_boxes = True
    scale = 1

    def forward(self, lr, boxes):
        return lr


@MODELS.register_module()
class PluginLoss(nn.Module):
    def forward(self, sr, gt):
        return sr - gt


@pytest.mark.parametrize('config', [
    files.TINY, {**files.TINY, 'type': 'RCAN'}, dict(type='fdsr.Bicubic', scale=4),
    dict(type='fdsr.SRFBN', scale=2, channels=4, steps=2, groups=2),
    dict(type='fdsr.CompactSR', scale=2, channels=8, blocks=1, stage_channels=(8, )),
    toy.STUDENT, toy.TEACHER, dict(type='fdsr.PluginNet', padding=1),
    dict(type='PluginModule', init_cfg=None),
    dict(type='fdsr.UnrolledGenerator', network=dict(type='PluginNet', width=2)),
    dict(type='fdsr.UnrolledGenerator', network=dict(
        type='mmagic.DICNet', in_channels=3, out_channels=3, mid_channels=4,
        num_blocks=1, hg_mid_channels=8, num_steps=2, upscale_factor=8)),
    dict(type='mmagic.SwinIRNet', upscale=2, img_size=16, window_size=8, depths=[1],
         embed_dim=8, num_heads=[2], mlp_ratio=2, upsampler='pixelshuffle'),
    dict(type='mmagic.EDSRNet', in_channels=3, out_channels=3, mid_channels=4,
         num_blocks=1)], ids=lambda config: config['type'])
def test_what_was_saved_comes_back(config, path):
    network = MODELS.build(config)
    save_backbone(network.half(), config, path)
    found = load_backbone(path)
    assert type(found) is type(network)
    for key, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[key].half(), value), key


@MODELS.register_module()
class PluginFree(nn.Module):
    """Arguments as those of this project are called, of other ranges and types."""

    scale = 1

    def __init__(self, steps, size, window_size, seed, clip, table, _x=None):
        super().__init__()
        self.facts = steps, size, window_size, seed, clip, table, _x
        self.conv = nn.Conv2d(3, 3, 1)
        self.register_buffer('grid', torch.zeros(4 * 10**7), persistent=False)

    def forward(self, lr):
        return lr


@MODELS.register_module()
def plugin_function(width):
    return PluginNet(width) if width else 'no network'


@MODELS.register_module()
class PluginBuiltin(nn.Conv2d):
    """Its call is a function of which Python knows no parameters."""

    forward = torch.relu


@MODELS.register_module()
class PluginProperty(nn.Conv2d):
    scale = 1

    @property
    def forward(self):
        return self._conv_forward


FREE = dict(type='PluginFree', steps=1000, size='large', window_size=32, seed=2**40,
            clip=float('inf'), table={1: 'one', 'two': {2: 3}}, _x=1)


@pytest.mark.parametrize('config', [
    FREE, dict(type='fdsr.UnrolledGenerator', network=FREE),
    dict(type='plugin_function', width=2), dict(type='fdsr.SRFBN', steps=100, groups=1),
    *(dict(type=kind, in_channels=3, out_channels=3, kernel_size=1)
      for kind in ('PluginBuiltin', 'PluginProperty')),
    dict(type='mmagic.SwinIRNet', upscale=2, img_size=64, window_size=32, depths=[2],
         embed_dim=8, num_heads=[2], mlp_ratio=2, upsampler='pixelshuffle'),
], ids=lambda config: config['type'])
def test_what_was_trained_with_unusual_arguments_comes_back(config, path):
    network = MODELS.build(config)
    save_backbone(network, config, path)
    assert type(load_backbone(path)) is type(network)


def test_what_initialised_a_network_is_not_kept(path):
    config = dict(type='PluginModule', init_cfg=dict(type='Pretrained', checkpoint='x'))
    save_backbone(PluginModule(), config, path)
    assert load_backbone(path).init_cfg is None


def test_a_function_that_makes_no_network_is_named(path):
    with pytest.raises(CheckpointMismatch, match=r'model\.pth.*found a str'):
        load_backbone(files.write(path, dict(type='plugin_function', width=0)))


class Unregistered(nn.Conv2d):
    pass


@MODELS.register_module()
class PluginHungry(nn.Module):
    scale = 1

    def __init__(self):
        super().__init__()
        self.register_buffer('grid', torch.zeros(1).expand(2**29), persistent=False)

    def forward(self, lr):
        return lr


@pytest.mark.parametrize('config, message', [
    (dict(type='fdsr.SRFBN', steps=300), 'config.steps: .*from 1 to 256'),
    (dict(type='fdsr.SRFBN', colour=1), 'unexpected keyword'),
    (dict(type='Unregistered'), "config.type is 'Unregistered'"),
    (dict(type=Unregistered), 'type: expected a plain, finite value'),
    (dict(type='PluginNet', act=dict(type='ReLU')), "config.act.type is 'ReLU'"),
    (dict(type='PluginNet', width=torch.ones(1)), 'generator.width: expected a plain'),
    (dict(type='PluginHungry'), 'fewer buffers with persistent=False'),
], ids=str)
def test_what_could_not_be_loaded_is_not_saved(config, message, path):
    network = PluginHungry() if 'Hungry' in str(config['type']) else PluginNet()
    with pytest.raises(CheckpointMismatch, match=message) as error:
        save_backbone(network, config, path)
    assert 'nothing is saved' in str(error.value) and str(path) in str(error.value)
    assert 'not written by this project' not in str(error.value)
    assert not path.exists()
    with pytest.raises(CheckpointMismatch, match='a value of type|nested too'):
        save_backbone(PluginNet(), dict(type='PluginNet'), path, note=torch.ones(3))


def test_a_run_that_could_not_be_loaded_does_not_start(tmp_path):
    config = toy.restorer_config(tmp_path, dict(type='fdsr.SRFBN', scale=4, channels=4,
                                                steps=300, groups=1))
    with pytest.raises(CheckpointMismatch, match='The checkpoints of this run.*steps'):
        toy.train(config)
    assert not list(tmp_path.glob('*.pth'))


def test_a_loss_of_a_plugin_is_no_network(path):
    with pytest.raises(CheckpointMismatch, match="'fdsr.PluginLoss', which cannot"):
        load_backbone(files.write(path, dict(type='fdsr.PluginLoss')))


def test_threads_have_budgets_of_their_own(path):
    """One that is over its budget does not stop another that is not."""
    files.write(path)
    failures = []

    def load():
        try:
            for _ in range(20):
                load_backbone(path)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        with pytest.raises(CheckpointMismatch, match='more layers'):
            build_network(path, {**files.TINY, 'blocks': 10**6}, Budget(1, 1))
        assert torch.zeros(10).sum() == 0
    for thread in threads:
        thread.join()
    assert not failures
