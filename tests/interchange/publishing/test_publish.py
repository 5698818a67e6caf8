"""Published files: one network, nothing else, and what the card says is true."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fdsr.apis import FaceSuperResolver, load_backbone
from fdsr.apis.networks import example_inputs
from fdsr.interchange.drafts import CannotWrite
from fdsr.interchange.publishing import publish
from fdsr.models.files.checkpoints import CheckpointMismatch, read_checkpoint
from fdsr.registry import MODELS
from fdsr.weights import safe_load, safetensors_files
from tests import toy
from tests.conftest import SHARED
from tests.in_process import call_tool

ROOT = Path(__file__).parents[3]
LICENCE = 'CC0-1.0'


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    return toy.trained_student(tmp_path_factory.mktemp('student'))


def test_one_network_and_nothing_else(student, tmp_path):
    done = publish(student, tmp_path, 'toy', licence=LICENCE, about='Drawn faces.')
    content = safe_load(done.path)
    assert set(load_file(done.path)) == set(content['state_dict'])
    assert set(content) == {'meta', 'state_dict'}
    assert all(value.dtype == torch.float16
               for value in content['state_dict'].values() if value.is_floating_point())
    digest = hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert done.path.name == f'toy-{digest[:8]}.safetensors'
    facts = read_checkpoint(done.path)[0]
    assert facts['licence'] == LICENCE
    source = read_checkpoint(student)[0]
    assert list(facts['traits'].values()) == [source['traits'][source['default']]]
    card = done.card.read_text()
    assert digest in card and LICENCE in card and 'Drawn faces.' in card
    with safe_open(done.path, 'pt') as file:
        spec = file.metadata()
    assert spec['modelspec.title'] == 'toy'
    assert spec['modelspec.description'] == 'Drawn faces.'
    assert spec['modelspec.license'] == LICENCE
    assert spec['modelspec.architecture'] == 'fdsr-distilledstudent'
    side = done.facts.geometry.size
    assert spec['modelspec.resolution'] == f'{side}x{side}'
    assert done.path.stat().st_size < student.stat().st_size / 2
    assert sorted(tmp_path.iterdir()) == sorted([done.path, done.card])
    assert str(student.parent) not in done.path.read_bytes().decode('latin-1')


def test_it_computes_what_its_source_computes(student, tmp_path):
    half = publish(student, tmp_path / 'half', 'toy', licence=LICENCE)
    whole = publish(student, tmp_path / 'whole', 'toy', half=False, licence=LICENCE)
    source = load_backbone(student)
    lr, = example_inputs(source, half.facts.geometry, 3)
    with torch.no_grad():
        wanted = source(lr)
        assert torch.equal(load_backbone(whole.path)(lr), wanted)
        assert (load_backbone(half.path)(lr) - wanted).abs().max() < 2e-2
    assert whole.facts.rounding == 0 < half.facts.rounding < 5
    face = np.random.default_rng(0).integers(0, 256, (lr.shape[-1],) * 2 + (3,), 'u1')
    assert np.array_equal(FaceSuperResolver(whole.path)(face),
                          FaceSuperResolver(student)(face))


def test_a_teacher_brings_its_dictionary(tmp_path):
    teacher = toy.trained_teacher(tmp_path)
    done = publish(teacher, tmp_path / 'out', 'teacher', half=False, licence=LICENCE)
    facts = read_checkpoint(done.path)[0]
    assert facts['external'] == {}
    for file in tmp_path.rglob('*.pth'):
        file.unlink()
    network = load_backbone(done.path)
    assert network.dictionary.external_weights is None
    assert float(network.dictionary.atoms('mouth', 0).abs().sum()) > 0


def test_the_licence_of_the_source_is_kept(student, tmp_path):
    first = publish(student, tmp_path / 'a', 'toy', licence=LICENCE)
    second = publish(first.path, tmp_path / 'b', 'toy')
    assert second.facts.licence == LICENCE
    with pytest.raises(ValueError, match='licence'):
        publish(student, tmp_path / 'c', 'toy')


def test_values_that_fp16_cannot_hold_are_refused(tmp_path):
    from fdsr.models.files.checkpoints import save_backbone
    config = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1,
                  reduction=2)
    network = MODELS.build(config)
    network.head.weight.data[0] = 1e6
    save_backbone(network, config, tmp_path / 'large.pth')
    with pytest.raises(ValueError, match='--fp32'):
        publish(tmp_path / 'large.pth', tmp_path / 'out', 'large', licence=LICENCE)
    assert publish(tmp_path / 'large.pth', tmp_path / 'out', 'large', half=False,
                   licence=LICENCE).path.is_file()


def test_a_part_that_cannot_be_put_in_is_named(student, tmp_path, monkeypatch):
    from fdsr.interchange.publishing import publish as module
    from fdsr.weights import ExternalWeights
    record = ExternalWeights('x', '/some/file', '0' * 64, 'MIT')
    monkeypatch.setattr(sys.modules[module.__module__], 'external_parts',
                        lambda network: {'part': record})
    with pytest.raises(CheckpointMismatch, match='/some/file'):
        publish(student, tmp_path, 'toy', licence=LICENCE)


def test_what_cannot_be_published_leaves_nothing(student, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    (tmp_path / 'none.json').write_text('[]')
    for name, metrics, message in (
            ('toy', [tmp_path / 'absent.json'], 'no metrics at .*absent.json'),
            ('toy', [tmp_path / 'none.json'], 'not a metrics.json'),
            ('a/b', [], "not 'a/b'"), ('', [], "not ''"),
            ('é' * 122, [],
             r'has 244 bytes; the file NAME-HASH\.safetensors allows 234')):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            publish(student, out, name, licence=LICENCE, metrics=metrics)
    assert not out.exists()
    (tmp_path / 'file').touch()
    with pytest.raises(CannotWrite, match='file cannot be written'):
        publish(student, tmp_path / 'file', 'toy', licence=LICENCE)
    real = safetensors_files.save

    def full(path, *arguments):  # with the file there
        real(path, *arguments)
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(safetensors_files, 'save', full)
    with pytest.raises(CannotWrite, match='out cannot be written.*Free space'):
        publish(student, out, 'toy', licence=LICENCE)
    assert list(out.iterdir()) == []


def test_metrics_with_infinity_are_read_back(tmp_path):
    """The PSNR of equal images is infinite; JSON stores it as text."""
    from fdsr.evaluation.protocol import write_metrics
    from fdsr.interchange.publishing.card import results_of
    path = tmp_path / 'metrics.json'
    protocol = dict(metrics={}, dataset=dict(name='x'), hardware={})
    write_metrics(path, {'bicubic': {'PSNR': float('inf'), 'SSIM': float('nan')},
                         'toy': {'PSNR': 23.52, 'SSIM': 0.77}}, protocol, 2, 0)
    section = results_of(path).section
    assert '| bicubic | inf |' in section and '23.52' in section
    case = SHARED / 'cases' / 'publish_inf_metrics.json'
    if case.is_file():
        assert '| bicubic | inf |' in results_of(case).section


def test_long_and_unusual_names_are_published(tmp_path):
    from fdsr.models.files.checkpoints import save_backbone
    config = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1,
                  reduction=2)
    save_backbone(MODELS.build(config), config, tmp_path / 'source.pth')
    for name in ('x' * 234, 'no-break\u00a0space', '[x]'):
        done = publish(tmp_path / 'source.pth', tmp_path / 'out', name, licence=LICENCE)
        assert done.path.name.startswith(name) and done.card.is_file()


def test_the_tool_and_the_results_on_the_card(student, tmp_path):
    metrics = tmp_path / 'metrics.json'
    metrics.write_text(json.dumps(dict(
        protocol=dict(data='drawn'), num_images=7, skipped=0,
        models=dict(student={'PSNR': 21.5}))))
    about = tmp_path / 'about.md'
    about.write_text('Only frontal faces.')
    command = [ROOT / 'tools/publish_model.py', student, '--name', 'toy', '--out',
               tmp_path / 'out', '--licence', LICENCE, '--about', about, '--metrics',
               metrics]
    done = call_tool(*command)
    assert done.returncode == 0, done.stderr
    card = next((tmp_path / 'out').glob('*.md')).read_text()
    assert '21.5' in card and 'images: 7' in card and 'Only frontal' in card
    metrics.write_text('[]')
    done = call_tool(*command)
    assert done.returncode == 1 and 'not a metrics.json' in done.stderr
    about.unlink()
    done = call_tool(*command)
    assert done.returncode == 1 and 'There is no text at' in done.stderr
