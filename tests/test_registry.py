"""Names in configs: ours, mmagic's, mistyped ones."""

import ast
import re

import mmengine.registry as mmengine_registry
import pytest
from mmengine.registry import DefaultScope

from fdsr import registry
from fdsr.models.backbones import DistilledStudent
from fdsr.registry import HOOKS, MODELS, TRANSFORMS
from tests import toy
from tests.conftest import REPOSITORY as ROOT


@pytest.mark.parametrize('typo, meant', [
    ('fdsr.DistiledStudent', 'fdsr.DistilledStudent'),
    ('DistiledStudent', 'fdsr.DistilledStudent'),
    ('fdsr.distilledstudent', 'fdsr.DistilledStudent'),
    ('fdrs.DistilledStudent', 'fdsr.DistilledStudent'),
    ('mmagic.RRDBNett', 'mmagic.RRDBNet'),
])
def test_a_mistyped_backbone_is_told_its_nearest_names(tmp_path, typo, meant):
    config = toy.restorer_config(tmp_path, {**toy.STUDENT, 'type': typo})
    message = f"'{typo}' is not a registered model.*'{meant}'"
    with pytest.raises(KeyError, match=message):
        toy.train(config)


@pytest.mark.parametrize('kind, typo, meant', [
    ('HOOKS', 'fdsr.TrainedEmaHok', 'fdsr.TrainedEMAHook'),
    ('LOOPS', 'fdsr.ExactTrainLop', 'fdsr.ExactTrainLoop'),
    ('DATA_SAMPLERS', 'fdsr.EpochSampeler', 'fdsr.EpochSampler'),
    ('DATASETS', 'fdsr.VGGFace2Dataset2', 'fdsr.VGGFace2Dataset'),
    ('METRICS', 'fdsr.LIPPS', 'fdsr.LPIPS'),
    ('OPTIM_WRAPPERS', 'fdsr.AutocastOptim', 'fdsr.AutocastOptimWrapper'),
    ('MODELS', 'fdsr.FaceRestorr', 'fdsr.FaceRestorer'),
])
def test_so_is_everything_that_mmengine_itself_builds(kind, typo, meant):
    # mmengine's runner asks its own registries, under our scope
    with pytest.raises(KeyError, match=f"'{meant}'"):
        getattr(mmengine_registry, kind).build(dict(type=typo))


def test_a_name_like_no_other_says_how_names_are_written():
    message = r'fdsr\.Name.*mmagic\.Name.*custom_imports'
    with pytest.raises(KeyError, match=message) as error:
        MODELS.build(dict(type='Qwxzjk'))
    assert 'Did you mean' not in str(error.value)


def test_unscoped_names_are_ours():
    assert DefaultScope.get_current_instance().scope_name == 'fdsr'
    config = {**toy.STUDENT, 'type': 'DistilledStudent'}
    assert type(MODELS.build(config)) is DistilledStudent
    assert type(mmengine_registry.MODELS.build(config)) is DistilledStudent


def test_names_of_mmagic_and_mmengine_resolve():
    gan = MODELS.build(dict(type='mmagic.GANLoss', gan_type='lsgan'))
    assert type(gan).__module__.startswith('mmagic.models')
    assert TRANSFORMS.get('mmagic.PackInputs').__module__.startswith('mmagic.datasets')
    assert HOOKS.get('LoggerHook').__module__.startswith('mmengine')


def decorated():
    """Registry, name and file of everything that a decorator of fdsr registers."""
    for path in sorted((ROOT / 'fdsr').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            for decorator in getattr(node, 'decorator_list', ()):
                found = re.match(r'([A-Z_]+)\.register_module\(',
                                 ast.unparse(decorator))
                if found:
                    yield found[1], node.name, path.relative_to(ROOT)


def test_all_of_the_projects_components_are_registered_under_its_scope():
    found = list(decorated())
    assert len(found) > 30
    for kind, name, path in found:
        node = getattr(registry, kind)
        assert node.scope == 'fdsr' and name in node.module_dict, f'{path}: {name}'


def test_registering_twice_is_harmless():
    before = dict(MODELS.module_dict)
    registry.register_all()
    assert MODELS.module_dict == before


class BrokenPlugin:
    name, value = 'faces_plus', 'faces_plus.models'

    def load(self):
        raise ModuleNotFoundError("No module named 'faces_plus'")


def test_a_broken_plugin_is_named(monkeypatch):
    monkeypatch.setattr(registry, 'entry_points', lambda group: [BrokenPlugin()])
    with pytest.raises(ImportError, match="plugin 'faces_plus' .*uninstall"):
        registry.load_plugins()
