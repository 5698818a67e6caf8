"""Errors that a tool ends with in one sentence."""

import errno
import sys

import pytest
import torch

from fdsr.cli.errors import EXTRAS, report_errors


def ended_with(capsys, raising) -> str:
    """Runs a tool that raises and returns the message it ends with."""
    with pytest.raises(SystemExit) as ended:
        report_errors(raising)()
    assert 'FDSR_TRACEBACK=1' in capsys.readouterr().err
    return str(ended.value)


def importing(name):
    def tool():
        __import__(name)
    return tool


def importing_lpips(monkeypatch):
    monkeypatch.setitem(sys.modules, 'lpips', None)
    return importing('lpips')


@pytest.mark.parametrize('package, command', [
    ('lpips', 'pip install "fdsr[train]"'),
    ('gradio', 'pip install "fdsr[demo]"'),
    ('onnxruntime', 'pip install "fdsr[onnx]"'),
    ('numpy', 'pip install "fdsr"'),
])
def test_a_missing_package_names_the_extra(monkeypatch, capsys, package, command):
    monkeypatch.setitem(sys.modules, package, None)
    message = ended_with(capsys, importing(package))
    assert f'needs the package {package}: {command}' in message


def test_a_missing_package_of_nobodys_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError):
        report_errors(importing('no_such_package_at_all'))()


def test_a_full_disk_is_one_sentence(capsys, tmp_path):
    def write():
        raise OSError(errno.ENOSPC, 'No space left on device', 'run/iter_5.pth')
    message = ended_with(capsys, write)
    assert 'disk is full (run/iter_5.pth)' in message and 'Free space' in message


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='/dev/full')
def test_torch_on_a_full_disk_too(capsys):
    message = ended_with(capsys, lambda: torch.save(torch.zeros(10**6), '/dev/full'))
    assert 'disk is full' in message


@pytest.mark.parametrize('program', ['/bin/fdsr', '/lib/fdsr/__main__.py'])
def test_the_message_starts_with_the_command(monkeypatch, capsys, program):
    monkeypatch.setattr(sys, 'argv', [program])
    assert ended_with(capsys, importing_lpips(monkeypatch)).startswith('fdsr: ')


def test_the_environment_variable_keeps_every_traceback(monkeypatch):
    monkeypatch.setenv('FDSR_TRACEBACK', '1')
    monkeypatch.setitem(sys.modules, 'lpips', None)
    with pytest.raises(ModuleNotFoundError):
        report_errors(importing('lpips'))()


def test_every_extra_of_the_message_exists():
    import runpy
    from pathlib import Path
    extras = runpy.run_path(str(Path(__file__).parents[2] / 'setup.py'))['EXTRAS']
    assert set(EXTRAS) - {''} <= set(extras)


def test_a_wrong_key_of_a_component_is_one_sentence(capsys):
    from fdsr.registry import MODELS
    message = ended_with(capsys, lambda: MODELS.build(
        dict(type='fdsr.PixelLoss', kind='l1', loss_weights=2.0)))
    assert "PixelLoss" in message and "'loss_weights'" in message
    assert 'Correct this key in the config' in message


def test_another_type_error_keeps_its_traceback():
    with pytest.raises(TypeError):
        report_errors(lambda: int([], argument=1))()
