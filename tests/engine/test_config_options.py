"""Options of the command line: their values, and the keys that a config accepts."""

import argparse
import sys
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from fdsr.engine.config_options import merge_options, parse_options, parse_value

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('text, value', [
    ('false', False), ('False', False), ('FALSE', False), ('true', True),
    ('tRUE', True), ('none', None), ('None', None), ('NONE', None), ('', ''),
    ('falsely', 'falsely'),
    ('4', 4), ('-1', -1), ('1e-4', 1e-4), ('1.', 1.0), ('vgg16', 'vgg16'),
    ('fdsr.RCAN', 'fdsr.RCAN'), ('decoder.to_rgb:input', 'decoder.to_rgb:input'),
    ('1,2,3', [1, 2, 3]), ('[1,2]', [1, 2]), ('(1, 2)', (1, 2)), ('a,b', ['a', 'b']),
    ('[true, none, a/b.pth]', [True, None, 'a/b.pth']), ('[a, TRUE]', ['a', True]),
    ('[(1,2),[a,b],c]', [(1, 2), ['a', 'b'], 'c']), ('true,false', [True, False]),
    ('[]', []), ("{'a': 1}", dict(a=1)), ('{"a": false}', dict(a=False)),
    ("[{'a': 1, 'b': none}, {'a': 2}]", [dict(a=1, b=None), dict(a=2)]),
    ("'none'", 'none'), ('"1,2"', '1,2'), ("['a,b', c]", ['a,b', 'c']),
    ('my photos/a (2).pth', 'my photos/a (2).pth'),
    ('[left eye, nose]', ['left eye', 'nose']), ('a=b', 'a=b'),
    ('(old) runs/a.pth', '(old) runs/a.pth')])
def test_values(text, value):
    found = parse_value(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize('text', [
    '1,2,3', '[1,2]', '(1,2)', '[(1,2),[a,b],c]', 'True', 'None', '1e-4', 'a', '0.5,x'])
def test_values_are_those_of_mmengine(text):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    found = parser.parse_args(['--cfg-options', f'key={text}']).cfg_options['key']
    assert parse_value(text) == found


@pytest.mark.parametrize('option, message', [
    ('batch_size', "takes KEY=VALUE, found 'batch_size'"), ('=3', 'takes KEY=VALUE'),
    ("a={'b': c.d}", '--cfg-options a: expected a literal'), ('a=[1', 'balanced'),
    ('a=1,(2', 'balanced')])
def test_options_that_cannot_be_read(option, message):
    with pytest.raises(ValueError, match=message):
        parse_options([option])


def test_a_later_option_wins():
    assert parse_options(['a.b=1', 'c=2', 'a.b=3']) == {'a.b': 3, 'c': 2}


@pytest.mark.parametrize('tool', [
    'train', 'test', 'build_dictionary', 'inspect_dictionary', 'profile_model',
    'freeze_features', 'benchmark', 'make_figure'])
def test_repeated_options_are_combined(tool, monkeypatch, tmp_path):
    """In every tool that takes them: both groups reach the config."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    arguments = _parsed(tool, monkeypatch)
    from _arguments import override_options
    assert override_options(arguments)['cfg_options'] == {
        'train_dataloader.batch_size': 4, 'resume': False,
        'train_dataloader.sampler.shuffle': False, 'load_from': None}


def _parsed(tool, monkeypatch):
    read = argparse.ArgumentParser.parse_args

    class Parsed(Exception):
        pass

    def stop(self, *_, **__):
        self._positionals._group_actions[:] = []
        for action in self._actions:
            action.required = False
            if not action.option_strings:
                action.nargs = '?'
        raise Parsed(read(self, [
            '--cfg-options', 'train_dataloader.batch_size=4', 'resume=true',
            '--cfg-options', 'resume=false', 'train_dataloader.sampler.shuffle=false',
            'load_from=none']))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
    monkeypatch.setattr(sys, 'argv', [tool])
    import runpy
    with pytest.raises(Parsed) as parsed:
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
    return parsed.value.args[0]


# Keys

@pytest.fixture(scope='module')
def configs():
    return {name: Config.fromfile(ROOT / f'configs/{name}.py')
            for name in ('teacher_vggface2', 'distill_vggface2')}


@pytest.fixture
def config(configs):
    return configs['distill_vggface2'].copy()


@pytest.mark.parametrize('key, message', [
    ('modle.student.width', "the config has no key 'modle'. Did you mean 'model'"),
    ('train_cfg.max_iter', r"train_cfg \(fdsr.ExactTrainLoop\) has no key 'max_iter'. "
                           "Did you mean 'max_iters'"),
    ('train_dataloader.batchsize', "train_dataloader has no key 'batchsize'. Did you "
                                   "mean 'batch_size'"),
    ('train_dataloader.dataset.pipelin', "Did you mean 'pipeline'"),
    ('train_dataloader.dataset.subst', "Did you mean 'subset'"),
    ('train_dataloader.dataset.pipeline.0.probb', "Did you mean 'prob'"),
    ('train_dataloader.sampler.sufle', "Did you mean 'shuffle'"),
    ('model.student.widht', r"model.student .*DistilledStudent\) has no key 'widht'. "
                            "Did you mean 'width'"),
    ('model.discriminator.base_channel', "Did you mean 'base_channels'"),
    ('model.feature_losses.0.loss_wieght', "Did you mean 'loss_weight'"),
    ('model.studnet.width', "Did you mean 'student'"),
    ('optim_wrapper.studnet.optimizer.lr', "Did you mean 'student'"),
    ('optim_wrapper.student.optimizer.weight_deca', "Did you mean 'weight_decay'"),
    ('param_scheduler.milestone', 'param_scheduler'),
    ('default_hooks.chekpoint.interval', "Did you mean 'checkpoint'"),
    ('randomness.sed', "Did you mean 'seed'"),
    ('env_cfg.cudnn_benchmrk', "Did you mean 'cudnn_benchmark'"),
    ('env_cfg.mp_cfg.start_method', "Did you mean 'mp_start_method'"),
    ('resum', "Did you mean 'resume'"), ('zzz', 'Its keys are .*model, .*work_dir'),
    ('model.feature_losses.7.loss_weight', r'feature_losses.7: expected the index'),
    ('model.feature_losses.x', 'expected the index of an element')])
def test_an_unknown_key_has_its_nearest_name(config, key, message):
    before = config.to_dict()
    with pytest.raises(KeyError, match=message):
        merge_options(config, {key: 1})
    assert config.to_dict() == before


@pytest.mark.parametrize('key, value', [
    ('randomness.deterministic', True), ('train_dataloader.prefetch_factor', 4),
    ('train_dataloader.pin_memory', True), ('auto_scale_lr.enable', True),
    ('train_dataloader.dataset.subset', 10), ('visualizer', None),
    ('train_dataloader.dataset', dict(subset=10)), ('experiment_name', 'a'),
    ('optim_wrapper.student.accumulative_counts', 2), ('val_dataloader', None),
    ('optim_wrapper.student.clip_grad.max_norm', 1.0),
    ('optim_wrapper.student.optimizer.weight_decay', 0.1),
    ('default_hooks.checkpoint.save_best', 'auto'), ('model.init_from', 'a.pth'),
    ('default_hooks.early', dict(type='EarlyStoppingHook', monitor='a')),
    ('env_cfg.dist_cfg.timeout', 60), ('custom_hooks', []),
    ('model.student.encoder.type', 'fdsr.TinyEncoder')])
def test_keys_with_a_meaning_can_be_added(config, key, value):
    merge_options(config, {key: value})
    node = config
    for part in key.split('.'):
        node = node[part]
    if isinstance(value, dict):
        assert {name: node[name] for name in value} == value
    else:
        assert node == value


def test_a_component_of_another_type_has_its_own_arguments(config):
    merge_options(config, {'model.student.type': 'fdsr.RCAN',
                           'model.student.groups': 2})
    assert config.model.student.groups == 2
    with pytest.raises(KeyError, match=r"fdsr.RCAN\) has no key 'layuot'"):
        merge_options(config, {'model.student.layuot': 'A'})


def test_a_hook_is_added_key_by_key(config):
    merge_options(config, {'default_hooks.early.monitor': 'a',
                           'default_hooks.early.type': 'EarlyStoppingHook'})
    assert config.default_hooks.early == dict(type='EarlyStoppingHook', monitor='a')


def test_a_dict_is_merged_or_replaces(config):
    seed, merged = config.randomness.seed, config.copy()
    merge_options(merged, {'randomness': dict(deterministic=True)})
    assert merged.randomness == dict(seed=seed, deterministic=True)
    merge_options(merged, {'randomness': dict(_delete_=True, deterministic=True)})
    assert merged.randomness == dict(deterministic=True)
    with pytest.raises(KeyError, match="Did you mean 'seed'"):
        merge_options(config, {'randomness': dict(sed=1)})


def test_a_replaced_component_may_be_completed_by_another_option(config):
    merge_options(config, {
        'randomness': dict(_delete_=True, seed=1), 'randomness.deterministic': True})
    assert config.randomness == dict(seed=1, deterministic=True)
    merge_options(config, {
        'randomness.deterministic': False, 'randomness': dict(_delete_=True, seed=2)})
    assert config.randomness == dict(seed=2)



def test_values_that_do_not_fit_are_refused(config):
    with pytest.raises(ValueError, match='expected true or false, found \'no\''):
        merge_options(config, {'train_dataloader.persistent_workers': 'no'})
    with pytest.raises(ValueError, match='batch_size is 8, which has no keys'):
        merge_options(config, {'train_dataloader.batch_size.x': 3})


def test_an_element_of_a_list_is_replaced():
    config = Config(dict(param_scheduler=dict(type='MultiStepLR', milestones=[1, 2])))
    merge_options(config, {'param_scheduler.milestones.1': 5})
    assert config.param_scheduler.milestones == [1, 5]


def test_sections_that_share_a_dict_stay_apart():
    loader = dict(batch_size=1, dataset=dict(type='fdsr.VGGFace2Dataset'))
    config = Config(dict(val_dataloader=loader, test_dataloader=loader))
    merge_options(config, {'val_dataloader.batch_size': 2})
    assert config.test_dataloader.batch_size == 1


def test_later_options_refine_earlier_ones(config):
    merge_options(config, {'randomness': dict(seed=5),
                           'randomness.deterministic': True})
    assert config.randomness == dict(seed=5, deterministic=True)
