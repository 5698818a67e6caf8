"""The command lines that train and test."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from fdsr.apis import load_backbone
from tests import toy
from tests.datasets.conftest import ToyRoot

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path for path in (ROOT / 'tools').glob('*.py')
               if not path.name.startswith('_'))
HEAVY = {'torch', 'mmengine', 'mmagic', 'PIL'}


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls a tool in this process, which is spared the imports."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(tmp_path)

    def run(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')

    return run


def write_config(path, **changes):
    """A file that trains a toy for three iterations, its rate falling on the way."""
    config = toy.restorer_config('unused', train_cfg__max_iters=3, **changes)
    for name in ('experiment_name', 'work_dir'):
        config.pop(name)
    config.param_scheduler = dict(type='MultiStepLR', by_epoch=False, milestones=[2],
                                  gamma=0.1)
    config.dump(path)
    return path


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / 'toy_run.py')


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    """A toy student's checkpoint."""
    return toy.trained_student(tmp_path_factory.mktemp('student'))


# --help

def cpu_seconds(command):
    """What a command takes of a core, however busy the machine is."""
    with open(os.devnull, 'w') as null:
        process = subprocess.Popen(command, stdout=null, stderr=null)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.name)
def test_help_is_instant(tool):
    done = subprocess.run([sys.executable, '-X', 'importtime', str(tool), '--help'],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith('usage:')
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'argparse' in imported
    assert not imported & HEAVY
    assert min(cpu_seconds([sys.executable, str(tool), '--help'])
               for _ in range(3)) < 1


# From a config to metrics

def test_a_run_is_trained_resumed_and_tested(config, call, tmp_path, capsys):
    call('train.py', config)
    folder = tmp_path / 'work_dirs' / 'toy_run'
    checkpoint = folder / 'iter_3.pth'
    assert checkpoint.is_file(), 'the default work directory bears the config\'s name'

    call('train.py', config, '--resume', '--cfg-options', 'train_cfg.max_iters=6')
    call('train.py', config, '--work-dir', 'whole', '--cfg-options',
         'train_cfg.max_iters=6')
    resumed, whole = (torch.load(path / 'iter_6.pth', weights_only=True)['state_dict']
                      for path in (folder, tmp_path / 'whole'))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(value, whole[key]) for key, value in resumed.items())

    capsys.readouterr()
    call('test.py', config, checkpoint, '--out', 'results/m.json', '--save-images',
         'pictures', '--cfg-options',
         'model.test_cfg.report=["bicubic", "student"]',
         'test_dataloader.dataset.length=5')
    printed = capsys.readouterr().out
    assert '| student |' in printed and '- images: 5, skipped: 0' in printed
    check_results(tmp_path / 'results', tmp_path / 'pictures')


def check_results(results, pictures):
    metrics = json.loads((results / 'm.json').read_text())
    assert set(metrics) == {'protocol', 'num_images', 'skipped', 'models'}
    assert (metrics['num_images'], metrics['skipped']) == (5, 0)
    assert list(metrics['models']) == ['bicubic', 'student']
    assert metrics['protocol']['colour_space'] == 'RGB'
    assert 'bicubic' in metrics['protocol']['resize_kernel']
    with (results / 'm.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 and len({row['name'] for row in rows}) == 5
    for model, values in metrics['models'].items():
        each = [float(row['PSNR']) for row in rows if row['model'] == model]
        assert sum(each) / 5 == pytest.approx(values['PSNR'])
    for model, side in dict(bicubic=toy.SIZE, student=toy.SIZE, hr=toy.SIZE,
                            lr=toy.SIZE // toy.SCALE).items():
        files = list((pictures / model).rglob('*.png'))
        assert len(files) == 5
        assert Image.open(files[0]).size == (side, side)


def test_the_numbers_are_those_of_the_checkpoints_backbone(config, call, tmp_path,
                                                           student):
    call('test.py', config, student, '--save-images', 'pictures')
    (tmp_path / 'work_dirs/toy_run/metrics.json').stat()
    name = sorted((tmp_path / 'pictures/lr').rglob('*.png'))[0]
    name = name.relative_to(tmp_path / 'pictures/lr')
    lr, sr = (torch.frombuffer(bytearray(
        Image.open(tmp_path / 'pictures' / model / name).tobytes()), dtype=torch.uint8)
        .view(side, side, 3).permute(2, 0, 1)
        for model, side in (('lr', toy.SIZE // toy.SCALE), ('generator', toy.SIZE)))
    with torch.no_grad():
        expected = load_backbone(student)(lr[None] / 255)[0]
    expected = (expected.clamp(0, 1) * 255).round()
    assert (expected - sr.float()).abs().max() <= 1  # one level, by rounding


def test_bicubic_needs_no_checkpoint(tmp_path, call):
    config = write_config(tmp_path / 'bicubic.py',
                          generator=dict(type='fdsr.Bicubic', scale=toy.SCALE),
                          model__test_cfg=dict(report=['bicubic']))
    call('test.py', config)
    metrics = json.loads((tmp_path / 'work_dirs/bicubic/metrics.json').read_text())
    assert list(metrics['models']) == ['bicubic']
    assert metrics['models']['bicubic']['PSNR'] > 10


# Photographs in a folder, one of them broken

@pytest.fixture
def photographs(tmp_path):
    """Twenty test pictures in VGGFace2's layout, one of them cut off."""
    root = ToyRoot(tmp_path / 'faces', 'test', identities=5, each=4)
    broken = root.image(root.names[3])
    broken.write_bytes(broken.read_bytes()[:800])
    return root


@pytest.fixture
def photo_config(tmp_path):
    path = write_config(tmp_path / 'photos.py')
    dataset = dict(
        type='fdsr.VGGFace2Dataset', data_root='data/vggface2', split='test',
        size=toy.SIZE, test_mode=True,
        pipeline=toy.loaders()['test_dataloader']['dataset']['pipeline'])
    path.write_text(f'{path.read_text()}\ntest_dataloader["dataset"] = {dataset!r}\n')
    return path


def test_a_broken_picture_is_listed_and_the_test_goes_on(
        photographs, photo_config, call, tmp_path, student, capsys):
    call('test.py', photo_config, student, '--data-root', photographs.root,
         '--work-dir', 'tested')
    metrics = json.loads((tmp_path / 'tested/metrics.json').read_text())
    assert (metrics['num_images'], metrics['skipped']) == (19, 1)
    assert '- images: 19, skipped: 1' in capsys.readouterr().out
    with (tmp_path / 'tested/skipped_vggface2_test.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['name'], row['stage']) for row in rows] == [
        (photographs.names[3], 'load')]


# What the user can mend

def failing(call, capsys, *arguments):
    """Runs a tool that has to fail; returns the message that it ends with."""
    with pytest.raises(SystemExit) as error:
        call(*arguments)
    assert isinstance(error.value.code, str)  # printed to stderr, the status is 1
    shown = capsys.readouterr().err
    assert 'Traceback' not in shown
    assert 'FDSR_TRACEBACK=1' in shown
    return error.value.code


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_bad_arguments_end_with_a_message(
        tool, config, photo_config, call, capsys, student):
    checkpoint = [student] if tool == 'test.py' else []
    message = failing(call, capsys, tool, 'nowhere.py', *checkpoint)
    assert message.startswith(f'{tool}: ') and 'nowhere.py' in message
    message = failing(call, capsys, tool, config, *checkpoint, '--work-dir',
                      config / 'below_a_file')
    assert 'below_a_file' in message and '--work-dir' in message
    message = failing(
        call, capsys, tool, config, *checkpoint, '--cfg-options',
        'test_evaluator.type=fdsr.FaceEvaluatr',
        'train_dataloader.dataset.type=fdsr.DrawnFaceDataset')
    assert "Did you mean 'fdsr." in message
    with pytest.raises(SystemExit, match='takes KEY=VALUE'):
        call(tool, config, '--cfg-options', 'batch_size')


def test_a_missing_data_root_is_named(photo_config, call, capsys, student):
    message = failing(call, capsys, 'test.py', photo_config, student)
    assert 'data/vggface2' in message and 'VGGFace2' in message
    message = failing(call, capsys, 'test.py', photo_config, student, '--data-root',
                      'elsewhere')
    assert 'elsewhere' in message


def test_missing_checkpoints_are_named(config, call, capsys):
    message = failing(call, capsys, 'test.py', config)
    assert 'describes a network with' in message and 'CHECKPOINT' in message
    message = failing(call, capsys, 'test.py', config, 'nowhere.pth')
    assert 'nowhere.pth' in message
    message = failing(call, capsys, 'train.py', config, '--resume', 'nowhere.pth')
    assert 'nowhere.pth' in message and '--resume' in message


def test_a_fault_in_the_code_keeps_its_traceback(config, call, monkeypatch):
    def fault(*arguments, **options):
        return {}['a b']

    monkeypatch.setattr('fdsr.engine.config.load_config', fault)
    with pytest.raises(KeyError):
        call('train.py', config)


def test_tracebacks_can_be_had(call, monkeypatch):
    monkeypatch.setenv('FDSR_TRACEBACK', '1')
    with pytest.raises(FileNotFoundError):
        call('train.py', 'nowhere.py')


@pytest.mark.slow
def test_a_process_ends_with_the_message_and_status_one(tmp_path):
    path = write_config(tmp_path / 'typo.py',
                        model__generator__type='fdsr.DistiledStudent')
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), str(path)], cwd=tmp_path,
        capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("train.py: 'fdsr.DistiledStudent' is not a registered model")
    assert "Did you mean 'fdsr.DistilledStudent'" in last


# The authors' checkpoints

def test_a_converted_checkpoint_is_tested_like_any_other(tmp_path, call, capsys):
    from tests.interchange.conversion import official
    torch.save(official.rcan_state(toy.SCALE), tmp_path / 'official.pt')
    call('convert_checkpoint.py', 'rcan', 'official.pt', 'rcan.pth')
    told = capsys.readouterr().out
    assert 'scale' in told and 'Licence of the weights' in told
    config = write_config(tmp_path / 'rcan.py', generator=dict(
        type='fdsr.RCAN', scale=toy.SCALE, channels=official.C))
    call('test.py', config, 'rcan.pth')
    metrics = json.loads((tmp_path / 'work_dirs/rcan/metrics.json').read_text())
    assert list(metrics['models']) == ['generator']


def test_a_file_that_cannot_be_converted_ends_with_a_sentence(tmp_path, call):
    torch.save({'a': torch.zeros(1)}, tmp_path / 'other.pt')
    with pytest.raises(SystemExit, match='not a checkpoint of srfbn: feat_in.0.weight'):
        call('convert_checkpoint.py', 'srfbn', 'other.pt', 'out.pth')
    with pytest.raises(SystemExit, match='not a checkpoint of dfdnet: le_256.0.bias'):
        call('convert_checkpoint.py', 'dfdnet', '--net', 'other.pt', '--dictionary',
             '.', 'out.pth')
