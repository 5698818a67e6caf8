"""The command line that profiles networks."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from fdsr.models.dictionary.files import save_dictionary
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS
from tests import toy

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'profile_model.py'
QUICK = ('--repeats', '1', '--warmup', '0', '--batch-sizes', '1', '--no-landmarks')


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls the tool in this process; returns what it printed and wrote."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        arguments = (*map(str, arguments), *QUICK, '--out', 'profile.json')
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out, json.loads(Path('profile.json').read_text())

    return run


def write(config, path):
    config.pop('experiment_name')
    config.pop('work_dir')
    config.dump(path)
    return path


def teacher_of(file):
    return {**toy.TEACHER, 'dictionary': dict(file=str(file))}


def test_a_config_is_enough(call, tmp_path):
    config = write(toy.restorer_config('unused'), tmp_path / 'student.py')
    printed, content = call(config)
    assert '| generator | 8 → 32 |' in printed and '- hardware: cpu' in printed
    values = content['models']['generator']
    assert values['network'] == 'DistilledStudent' and values['gmacs'] > 0
    assert values['frozen'] > 0 and content['notes'] == []
    assert not (tmp_path / 'work_dirs').exists()
    _, content = call(config, '--lr-size', 16, '--cfg-options',
                      'model.generator.width=0.4', 'model.test_cfg.report=["wide"]')
    wide = content['models']['wide']
    assert (wide['lr_size'], wide['sr_size']) == (16, 64)
    assert wide['trained'] > values['trained']


def test_a_missing_dictionary_is_replaced_and_told(call, tmp_path):
    config = write(toy.restorer_config('unused', teacher_of('gone.pth')),
                   tmp_path / 'teacher.py')
    printed, content = call(config, '--num-atoms', 3)
    assert 'no dictionary at gone.pth: 3 atoms' in printed
    assert '| dictionary |' in printed and 'not measured' in printed
    real = MODELS.build({**toy.TEACHER, 'dictionary': dict(num_atoms=3)})
    assert content['models']['generator']['dictionary_mb'] == pytest.approx(
        sum(atoms.numel() * 4 for atoms in real.dictionary.buffers()) / 1e6)


def test_a_dictionary_that_is_there_gives_its_size(call, tmp_path):
    real = MODELS.build({**toy.TEACHER, 'dictionary': dict(num_atoms=5)})
    save_dictionary(real.dictionary, tmp_path / 'there.pth', real.encoder)
    config = write(toy.restorer_config('unused', teacher_of('there.pth')),
                   tmp_path / 'teacher.py')
    printed, content = call(config)
    assert 'as many atoms as there.pth has' in printed
    assert content['models']['generator']['dictionary_mb'] == pytest.approx(
        sum(atoms.numel() * 4 for atoms in real.dictionary.buffers()) / 1e6)


def test_a_distillation_brings_its_teacher_if_it_is_there(call, tmp_path):
    checkpoint = tmp_path / 'teacher.pth'
    config = write(toy.distiller_config('unused', checkpoint), tmp_path / 'distill.py')
    printed, content = call(config)
    assert list(content['models']) == ['student'] and 'teacher is left out' in printed
    assert str(checkpoint) in printed
    save_backbone(MODELS.build(toy.TEACHER), toy.TEACHER, checkpoint)
    printed, content = call(config)
    assert list(content['models']) == ['student', 'teacher']
    assert content['models']['teacher']['dictionary_mb'] > 0
    assert 'left out' not in printed


def test_a_distillations_checkpoint_brings_its_teacher(call, tmp_path):
    checkpoint = tmp_path / 'teacher.pth'
    save_backbone(MODELS.build(toy.TEACHER), toy.TEACHER, checkpoint)
    toy.train(toy.distiller_config(
        tmp_path / 'run', checkpoint, train_cfg__max_iters=3))
    _, content = call(tmp_path / 'run' / 'iter_3.pth', '--lr-size', 8)
    assert {name: values['network'] for name, values in content['models'].items()} == {
        'student': 'DistilledStudent', 'teacher': 'DictionaryTeacher'}


def test_a_checkpoint_needs_no_config(call, tmp_path):
    path = tmp_path / 'teacher.pth'
    save_backbone(MODELS.build(toy.TEACHER), toy.TEACHER, path, name='mine')
    _, content = call(path)
    assert content['models']['mine']['lr_size'] == toy.SIZE // toy.SCALE
    config = write(toy.restorer_config('unused', teacher_of('gone.pth')),
                   tmp_path / 'teacher.py')
    _, content = call(config, path)
    assert list(content['models']) == ['generator'] and content['notes'] == []


def test_what_the_user_can_mend_ends_with_a_message(call, tmp_path):
    with pytest.raises(SystemExit, match='nowhere.py'):
        call('nowhere.py')
    with pytest.raises(SystemExit, match='no checkpoint at nowhere.pth'):
        call('nowhere.pth')
    empty = tmp_path / 'empty.py'
    empty.write_text('scale = 8\n')
    with pytest.raises(SystemExit, match='expected model.generator or model.student'):
        call(empty)
    torch.save({'a': 1}, tmp_path / 'other.pth')
    config = write(toy.restorer_config('unused', teacher_of('other.pth')),
                   tmp_path / 'teacher.py')
    with pytest.raises(SystemExit, match='other.pth is not a dictionary'):
        call(config)
