"""A package of one's own, as docs/plugins.md writes it, is installed and trained."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS, load_plugins
from tests import toy, warm
from tests.conftest import REPOSITORY

DOCS = (REPOSITORY / 'docs' / 'plugins.md').read_text(encoding='utf-8')
FILES = dict(re.findall(r'^```\w+ title="(.+?)"\n(.*?)^```$', DOCS, re.M | re.S))
CONFIG = 'configs/distill_shuffle.py'
CUSTOM_IMPORTS = (
    "custom_imports = dict(imports=['fdsr_shuffle'], allow_failed_imports=False)\n")
# The demo's teacher, as small as it can be.
TEACHER = dict(toy.TEACHER, size=64, scale=8)


def run(*command, cwd, path, python=None):
    """Runs Python in a process that finds packages in another folder, too."""
    found = os.pathsep.join(filter(None, [str(path), os.environ.get('PYTHONPATH')]))
    return subprocess.run(
        [python or warm.python(warm.TORCH), *map(str, command)], cwd=cwd, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': found, 'OMP_NUM_THREADS': '1'})


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """The package of the docs, written and installed; configs; a teacher to distil."""
    folder = tmp_path_factory.mktemp('plugin')
    package, site = folder / 'fdsr-shuffle', folder / 'site'
    shutil.copytree(REPOSITORY / 'configs', folder / 'configs')
    for name, text in FILES.items():
        path = folder / name if name == CONFIG else package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    done = run('-m', 'pip', 'install', '--no-build-isolation', '--no-deps',
               '--no-index', '--target', site, package, cwd=folder, path='',
               python=sys.executable)
    assert done.returncode == 0, done.stdout
    teacher = folder / 'teacher.pth'
    save_backbone(MODELS.build(TEACHER), TEACHER, teacher)
    return SimpleNamespace(folder=folder, package=package, site=site, teacher=teacher)


def train(place, config, work_dir, path, python=None):
    """Two iterations of a config by the tool; returns the checkpoint and the output."""
    done = run(
        REPOSITORY / 'tools/train.py', config, '--work-dir', work_dir, '--cfg-options',
        f'model.teacher={str(place.teacher)!r}', 'train_cfg.max_iters=2',
        'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1',
        cwd=place.folder, path=path, python=python)
    assert done.returncode == 0, done.stdout[-3000:]
    return work_dir / 'iter_2.pth', done.stdout


@pytest.fixture(scope='module')
def trained(place):
    """The checkpoint and the output of the docs' config."""
    return train(place, CONFIG, place.folder / 'work', place.site, sys.executable)


def test_the_docs_show_a_whole_package():
    assert set(FILES) == {
        'pyproject.toml', 'fdsr_shuffle/__init__.py', 'fdsr_shuffle/network.py',
        'fdsr_shuffle/losses.py', 'fdsr_shuffle/transforms.py', CONFIG}
    tree = DOCS.partition('```\nfdsr-shuffle/')[2].partition('```')[0]
    for name in set(FILES) - {CONFIG}:
        assert name.rpartition('/')[2] in tree, f'{name} is not in the tree of files'


@pytest.mark.slow
def test_it_is_trained_as_a_student_by_config_alone(trained):
    checkpoint, output = trained
    for key in ('loss_adversarial', 'loss_feature_cosine', 'loss_perceptual'):
        assert f'{key}:' in output
    content = torch.load(checkpoint, weights_only=True)
    facts = content['meta']['fdsr']
    assert facts['default'] == 'student'
    assert facts['backbones']['student'] == dict(
        type='fdsr.ShuffleStudent', scale=8, channels=24)
    assert 'JitterBrightness' in (checkpoint.parent / 'distill_shuffle.py').read_text()
    # 24 channels at the student's tap, 8 at the toy teacher's
    connector = content['state_dict']['connectors.feature_cosine.weight']
    assert connector.shape[:2] == (8, 24)
    assert not any(key.startswith('teacher.') for key in content['state_dict'])


@pytest.mark.slow
def test_its_checkpoint_opens_by_itself(trained, place):
    checkpoint, _ = trained
    done = run('-c', f'''
import sys, torch
from fdsr.apis import load_backbone
assert 'fdsr_shuffle' not in sys.modules
net = load_backbone({str(checkpoint)!r})
print(type(net).__name__, tuple(net(torch.rand(1, 3, 8, 8)).shape))
''', cwd=place.folder, path=place.site)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith('ShuffleStudent (1, 3, 64, 64)\n')


@pytest.mark.slow
def test_the_test_tool_measures_it(trained, place):
    checkpoint, _ = trained
    out = place.folder / 'metrics.json'
    done = run(REPOSITORY / 'tools/test.py', CONFIG, checkpoint, '--work-dir',
               place.folder / 'test', '--out', out, '--cfg-options',
               'test_dataloader.dataset.length=2', "test_evaluator.metrics=[{'type': "
               "'mmagic.PSNR'}]", cwd=place.folder, path=place.site)
    assert done.returncode == 0, done.stdout[-3000:]
    assert '| student |' in done.stdout and '| teacher |' in done.stdout


@pytest.mark.slow
def test_custom_imports_need_no_installation(place):
    assert CUSTOM_IMPORTS in DOCS
    config = place.folder / 'configs' / 'by_import.py'
    config.write_text(FILES[CONFIG] + CUSTOM_IMPORTS)
    checkpoint, _ = train(place, config, place.folder / 'by_import', place.package)
    assert torch.load(checkpoint, weights_only=True)['meta']['fdsr']['default'] == (
        'student')


def test_without_the_package_its_names_are_unknown():
    with pytest.raises(KeyError, match='a plugin needs an entry point'):
        MODELS.build(dict(type='fdsr.ShuffleStudent'))


def test_a_broken_plugin_is_named(tmp_path, monkeypatch):
    (tmp_path / 'fdsr_broken.py').write_text('import no_such_package_at_all\n')
    facts = tmp_path / 'fdsr_broken-1.0.dist-info'
    facts.mkdir()
    (facts / 'METADATA').write_text('Metadata-Version: 2.1\nName: fdsr-broken\n')
    (facts / 'entry_points.txt').write_text('[fdsr.plugins]\ncracked = fdsr_broken\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError) as caught:
        load_plugins()
    message = str(caught.value)
    for part in ("'cracked' (fdsr_broken)", 'no_such_package_at_all', 'Fix it'):
        assert part in message
    shape = re.search(r'ImportError: (The fdsr plugin .*)', DOCS).group(1)
    replaced = message.replace('cracked', 'shuffle').replace(
        'fdsr_broken', 'fdsr_shuffle').replace('no_such_package_at_all', 'einops')
    assert replaced == shape, 'the docs show another message'
