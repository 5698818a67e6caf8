"""Tests of the wheel in empty environments: `nox`, or `nox -s restoring-3.13`.

Each session creates an environment, installs the wheel with nothing but pip's own
choice of versions, and runs tests/light there. Nothing is compiled: a package without
a wheel for that Python fails the session.
"""
from pathlib import Path

import nox

nox.options.default_venv_backend = 'venv'
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
#: mmagic 1.2 needs numpy 1, which has no wheels for later Pythons.
TRAINING_PYTHONS = ('3.10', '3.11', '3.12')
#: Packages of pure Python that are published without a wheel.
SOURCE_ONLY = 'fdsr,face-recognition-models,filterpy,resize-right,controlnet-aux'
ENVIRONMENT = {'OMP_NUM_THREADS': '1', 'FDSR_TRACEBACK': '1'}


def test_wheel(session: nox.Session, extras: str) -> None:
    """Builds the wheel, installs it with extras, and runs tests/light with it."""
    folder = session.create_tmp()
    session.install('--no-compile', 'build')
    session.run('python', '-m', 'build', '--wheel', '--outdir', folder, '.',
                silent=True)
    wheel = max(Path(folder).glob('fdsr-*.whl'), key=lambda path: path.stat().st_mtime)
    session.install('--no-compile', '--only-binary', ':all:',
                    '--no-binary', SOURCE_ONLY, f'{wheel}[{extras}]', 'pytest')
    session.run('python', '-m', 'pip', 'list', '--format', 'freeze')
    light = f'{session.invoked_from}/tests/light'
    # Away from the checkout, so that the tests import the wheel; without the project's
    # own conftest.py, which needs the full stack.
    with session.chdir(folder):
        session.run('pytest', '-c', f'{light}/pytest.ini', '--confcutdir', light,
                    light, *session.posargs, env=ENVIRONMENT)


@nox.session(python=PYTHONS)
def restoring(session: nox.Session) -> None:
    """Tests the wheel with the extras onnx and video."""
    test_wheel(session, 'onnx,video')


@nox.session(python=TRAINING_PYTHONS)
def training(session: nox.Session) -> None:
    """Tests the wheel with the extras train and onnx."""
    test_wheel(session, 'train,onnx')
