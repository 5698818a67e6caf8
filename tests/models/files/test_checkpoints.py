"""What checkpoints hold, and backbones out of them."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from fdsr.apis import load_backbone
from fdsr.geometry.components import FFHQ_EYE_SHARE
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import FeatureEncoder, build_encoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.models.dictionary.files import save_dictionary
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    copy_trained_weights,
    read_checkpoint,
    save_backbone,
)
from fdsr.registry import MODELS
from fdsr.weights import sha256_of
from tests import toy, warm

TINY = dict(type='fdsr.TinyEncoder', frozen=True)
ONE_STEP = dict(train_cfg__max_iters=1, default_hooks__checkpoint__interval=1)
AVERAGED = [dict(type='fdsr.TrainedEMAHook', name='student', momentum=0.5)]
BOXES = torch.tensor([[2., 2, 10, 10], [16, 2, 26, 11], [11, 12, 18, 20],
                      [8, 19, 24, 29]]).expand(2, 4, 4)
LR = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def write_dictionary(path, encoder, seed=0, **facts):
    """Random atoms that fit a toy teacher."""
    encoder = build_encoder(encoder, 'B')
    torch.manual_seed(seed)
    spec = DictionarySpec.uniform(
        num_atoms=3, **dictionary_shape(encoder, toy.SIZE, 0.243))
    save_dictionary(ComponentDictionary(spec).randomise_(), path, encoder, **facts)


def make_world(folder: Path, encoder: dict, **distiller) -> dict:
    """A dictionary, a teacher that reads it, and a distillation with an average."""
    network = dict(encoder=encoder, width=0.1)
    dictionary, teacher = folder / 'faces.pth', folder / 'teacher'
    write_dictionary(dictionary, encoder)
    first = toy.train(toy.restorer_config(
        teacher, {**toy.TEACHER, **network, 'dictionary': dict(file=str(dictionary))},
        **ONE_STEP))
    second = toy.train(toy.distiller_config(
        folder / 'distilled', teacher / 'iter_1.pth', custom_hooks=AVERAGED,
        model__student={**toy.STUDENT, **network}, **ONE_STEP, **distiller))
    return dict(
        folder=folder, dictionary=dictionary, teacher=teacher / 'iter_1.pth',
        distilled=folder / 'distilled' / 'iter_1.pth',
        live_teacher=first.model.generator.eval(), live=second.model.eval())


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'), TINY)


@pytest.fixture(scope='module')
def vgg_world(tmp_path_factory):
    vgg = dict(type='fdsr.FeatureEncoder', arch='vgg16')
    try:
        FeatureEncoder('vgg16')
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return make_world(
        tmp_path_factory.mktemp('vgg'), vgg,
        model__perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'))


@pytest.fixture
def moved(world, tmp_path):
    """The files in one new folder, the old one gone."""
    new, away = tmp_path / 'new', world['folder'].with_name('away')
    new.mkdir()
    shutil.copy(world['dictionary'], new)
    shutil.copy(world['teacher'], new)
    shutil.copy(world['distilled'], new / 'student.pth')
    world['folder'].rename(away)
    yield new
    away.rename(world['folder'])


def changed(source, path, change):
    """A copy of a checkpoint with something else in it."""
    content = torch.load(source, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


@torch.no_grad()
def same_output(one, other):
    boxes = [BOXES] if one.uses_boxes else []
    return torch.equal(one(LR, *boxes), other(LR, *boxes))


# What is in them

def test_a_checkpoint_says_what_it_holds(world):
    meta = torch.load(world['distilled'], weights_only=True)['meta']['fdsr']
    assert set(meta) == {'format', 'backbones', 'default', 'external', 'traits',
                         'weights_sha256'}
    assert set(meta['traits']) == {'student', 'student_ema', 'teacher'}
    traits = dict(meta['traits']['student_ema'])
    assert traits.pop('eye_share') == pytest.approx(FFHQ_EYE_SHARE, abs=0.1)
    assert traits == dict(size=toy.SIZE, scale=toy.SCALE, uses_boxes=False)
    assert meta['traits']['teacher']['uses_boxes']
    assert meta['format'] == 1 and meta['default'] == 'student_ema'
    student = {**toy.STUDENT, 'encoder': TINY, 'width': 0.1}
    assert meta['backbones']['student'] == meta['backbones']['student_ema'] == student
    assert meta['backbones']['teacher']['type'] == 'fdsr.DictionaryTeacher'
    assert meta['external'] == {'teacher': dict(
        name='teacher', path=str(world['teacher']), member='generator',
        sha256=sha256_of(world['teacher']), licence='as its training data')}
    dictionary = read_checkpoint(world['teacher'])[0]['external']
    assert set(dictionary) == {'generator.dictionary'}
    assert dictionary['generator.dictionary']['sha256'] == sha256_of(
        world['dictionary'])


def test_only_what_is_trained_is_saved(world):
    _, values = read_checkpoint(world['distilled'])
    assert {key.partition('.')[0] for key in values} == {
        'student', 'student_ema', 'discriminator'}
    _, values = read_checkpoint(world['teacher'])
    assert not [key for key in values if key.startswith('generator.dictionary')]
    assert [key for key in values if key.startswith('generator.confidence')]


def test_no_copy_of_vgg_is_saved(vgg_world):
    for name in ('teacher', 'distilled'):
        facts, values = read_checkpoint(vgg_world[name])
        assert not [key for key in values if 'encoder' in key or 'perceptual' in key]
        for record in facts['external'].values():
            assert record['sha256'] == sha256_of(record['path'])
    assert set(facts['external']) == {
        'teacher', 'perceptual_loss', 'student.encoder', 'student_ema.encoder'}
    # the average uses the student's encoder instead of a copy
    live = vgg_world['live']
    assert live.student_ema.encoder is live.student.encoder


def test_backbones_with_vgg_come_back(vgg_world):
    assert same_output(load_backbone(vgg_world['distilled']),
                       vgg_world['live'].student_ema)
    assert same_output(load_backbone(vgg_world['distilled'], 'teacher'),
                       vgg_world['live_teacher'])


# Loading

def test_each_backbone_computes_what_it_did_in_the_run(world):
    live = world['live']
    assert same_output(load_backbone(world['distilled'], 'student'), live.student)
    assert same_output(load_backbone(world['distilled'], 'teacher'), live.teacher)
    assert same_output(load_backbone(world['teacher']), world['live_teacher'])
    assert not same_output(live.student, live.student_ema)


def test_the_average_is_the_default(world):
    network = load_backbone(str(world['distilled']))
    assert same_output(network, world['live'].student_ema)
    assert not network.training
    assert not any(module.training for module in network.modules())


def test_a_backbone_that_is_not_there(world):
    with pytest.raises(CheckpointMismatch, match="'generator'; it has student, "):
        load_backbone(world['distilled'], 'generator')


def test_the_teacher_may_be_any_backbone_of_its_file(world, tmp_path):
    teacher = dict(checkpoint=str(world['distilled']), name='student')
    config = toy.distiller_config(tmp_path, teacher, **ONE_STEP)
    toy.train(config)
    found = load_backbone(tmp_path / 'iter_1.pth', 'teacher')
    assert same_output(found, world['live'].student)
    with pytest.raises(CheckpointMismatch, match="no backbone 'techer'"):
        MODELS.build({**config.model, 'teacher': {**teacher, 'name': 'techer'}})


def test_a_student_opens_without_mmagics_models(world):
    code = ('import sys; from fdsr.apis import load_backbone; '
            f'load_backbone({str(world["distilled"])!r}); '
            'print([name for name in sys.modules if name.startswith("mmagic.models")])')
    done = subprocess.run([warm.python(warm.TORCH), '-c', code], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '[]'


def test_a_saved_backbone_comes_back(world, tmp_path):
    config = {**toy.STUDENT, 'width': 0.1}
    network = MODELS.build(config).eval()
    path = tmp_path / 'deep' / 'student.pth'
    save_backbone(network, config, path, licence='MIT')
    assert same_output(load_backbone(path), network)
    assert torch.load(path, weights_only=True)['meta']['licence'] == 'MIT'
    assert [file.name for file in path.parent.iterdir()] == ['student.pth']

    facts, _ = read_checkpoint(world['teacher'])
    save_backbone(world['live_teacher'], facts['backbones']['generator'], path)
    assert same_output(load_backbone(path), world['live_teacher'])
    assert path.stat().st_size < world['teacher'].stat().st_size


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    network, path = MODELS.build(toy.STUDENT), tmp_path / 'student.pth'
    save_backbone(network, toy.STUDENT, path)
    before = path.read_bytes()

    def full(content, file):  # as torch says it, with a part of the file there
        Path(file).write_bytes(b'part')
        raise RuntimeError('[enforce fail at inline_container.cc:664] . unexpected pos')
    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='student.pth cannot be written .*Free disk'):
        save_backbone(network, toy.STUDENT, path)
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 1


def test_a_network_starts_from_anothers_trained_weights(world):
    student = {**toy.STUDENT, 'width': 0.1}
    for name, theirs in (('teacher', world['live_teacher']),
                         (None, world['live'].student_ema)):
        network = MODELS.build(student)
        copy_trained_weights(world['distilled'], network, name)
        for key, value in network.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[key]), key
    with pytest.raises(CheckpointMismatch, match=r'expected \(.*found \('):
        copy_trained_weights(world['distilled'], MODELS.build(toy.STUDENT))


# Files that moved, changed or are broken

def test_files_that_moved_together_are_found(moved, world):
    network = load_backbone(moved / 'student.pth', 'teacher')
    assert same_output(network, world['live_teacher'])
    assert network.dictionary.external_weights.path == str(moved / 'faces.pth')


def test_a_missing_dictionary_is_named(moved):
    (moved / 'faces.pth').unlink()
    with pytest.raises(FileNotFoundError) as error:
        load_backbone(moved / 'iter_1.pth')
    for part in (str(moved / 'iter_1.pth'), 'faces.pth', 'values of dictionary',
                 'SHA-256', 'next to the checkpoint'):
        assert part in str(error.value)


@pytest.mark.parametrize('name', ['faces.pth', 'iter_1.pth'])
def test_a_changed_file_is_named(moved, name):
    hashes = [sha256_of(moved / name)[:12]]
    changed(moved / name, moved / name, lambda content: content.update(new=1))
    hashes.append(sha256_of(moved / name)[:12])
    with pytest.raises(CheckpointMismatch) as error:
        load_backbone(moved / 'student.pth', 'teacher')
    for part in (*hashes, str(moved / name), 'Put the original file there'):
        assert part in str(error.value)
    load_backbone(moved / 'student.pth')  # the student needs neither


def test_a_missing_teacher_is_named(moved):
    (moved / 'iter_1.pth').unlink()
    with pytest.raises(FileNotFoundError, match=r'student\.pth loads .*iter_1\.pth'):
        load_backbone(moved / 'student.pth', 'teacher')
    load_backbone(moved / 'student.pth')


def _without_meta(content):
    del content['meta']['fdsr']


def _newer(content):
    content['meta']['fdsr']['format'] = 2


def _wider(content):
    content['meta']['fdsr']['backbones']['student_ema']['width'] = 0.2


def _short(content):
    del content['state_dict']['student_ema.decoder.to_rgb.bias']


def _long(content):
    content['state_dict']['student_ema.decoder.extra'] = torch.zeros(1)


@pytest.mark.parametrize('change, message', [
    (_without_meta, r'meta\["fdsr"\] or state_dict is missing.*tools/train.py'),
    (_newer, 'format 2; this version of fdsr reads 1'),
    (_wider, r'does not match .*: expected \(.*found \(.*more'),
    (_short, 'decoder.to_rgb.bias is missing'),
    (_long, 'decoder.extra is not in the network'),
    (lambda content: content.pop('state_dict'), 'not a self-describing'),
    (lambda content: content['meta'].update(fdsr='x'), 'not a self-describing'),
])
def test_a_file_with_something_else_in_it(world, tmp_path, change, message):
    path = changed(world['distilled'], tmp_path / 'other.pth', change)
    with pytest.raises(CheckpointMismatch, match=rf'other\.pth .*{message}'):
        load_backbone(path)


def test_files_that_are_none(world, tmp_path):
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(world['distilled'].read_bytes()[:-1000])
    with pytest.raises(Exception, match='cut.pth.*fetch it again') as error:
        load_backbone(cut)
    assert type(error.value).__name__ == 'RefusedCheckpointError'
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth.*tools/train\.py'):
        load_backbone(tmp_path / 'nowhere.pth')
    torch.save([1, 2], cut)
    with pytest.raises(CheckpointMismatch, match='cut.pth is not a self-describing'):
        load_backbone(cut)


def test_the_file_that_a_trunk_came_from_is_preferred(tmp_path, monkeypatch):
    from fdsr.weights import preferring, vgg
    from fdsr.weights.sources import Source
    sources = []
    for name in ('first', 'second'):
        (tmp_path / name).write_text(name)
        sources.append(Source(name, 'vgg16', 'torch', name, sha256_of(tmp_path / name),
                              '', '', ''))
    monkeypatch.setenv('FDSR_WEIGHTS', str(tmp_path))
    monkeypatch.setattr(vgg, 'trunk_sources', lambda name: tuple(sources))
    assert vgg._find('vgg16')[1].name == 'first'
    with preferring([sources[1].sha256]):
        assert vgg._find('vgg16')[1].name == 'second'
    with preferring(['0' * 64]):
        assert vgg._find('vgg16')[1].name == 'first'
