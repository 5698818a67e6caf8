"""Processes of the warm command behave like those of ``python``."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import warm

pytestmark = pytest.mark.skipif(not hasattr(os, 'pidfd_open'), reason='needs Linux')


@pytest.fixture(scope='module')
def python():
    return warm.python(())  # a server without imports starts at once


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, **options)


SHOW = ('import os, sys; print(sys.argv, os.getcwd(), os.environ["NAME"], __name__, '
        'sys.path[0]); print(input(), file=sys.stderr)')


@pytest.mark.parametrize('kind', ['-c', '-m', 'script'])
def test_arguments_streams_and_environment(python, tmp_path, kind):
    (tmp_path / 'show.py').write_text(SHOW)
    what = {'-c': ['-c', SHOW], '-m': ['-u', '-m', 'show'], 'script': ['show.py']}[kind]
    cold, hot = (run(program, *what, 'a b', cwd=tmp_path, input='words\n',
                     env={**os.environ, 'NAME': 'value'})
                 for program in (sys.executable, python))
    assert "'a b'" in hot.stdout and hot.stderr == 'words\n'
    assert (hot.stdout, hot.stderr) == (cold.stdout, cold.stderr)


@pytest.mark.parametrize('code', [
    'pass', 'raise SystemExit(3)', 'raise SystemExit("sentence")', 'print(1 / 0)',
    'import os; os.kill(os.getpid(), 9)', 'import os; os.kill(os.getpid(), 15)',
    'import atexit; atexit.register(print, "end")', 'raise ValueError("bad")'])
def test_exit_status_and_last_words(python, code):
    cold, hot = (run(program, '-c', code) for program in (sys.executable, python))
    assert hot.returncode == cold.returncode and hot.stdout == cold.stdout
    assert hot.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_options_of_the_interpreter_start_a_real_one(python):
    done = run(python, '-X', 'importtime', '-c', 'pass')
    assert 'import time:' in done.stderr


def test_it_starts_itself_and_finds_other_packages(python, tmp_path):
    (tmp_path / 'of_the_test.py').write_text('print("found")')
    done = run(python, '-c', 'import subprocess, sys\n'
               'subprocess.run([sys.executable, "-c", "import of_the_test"])',
               env={**os.environ, 'PYTHONPATH': str(tmp_path)})
    assert done.stdout == 'found\n'


SLEEP = """
import sys, time
open(sys.argv[1], 'w').close()
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit('interrupted')
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_the_process(python, tmp_path, number):
    code = SLEEP if number != signal.SIGKILL else (
        'import os, sys, time\nprint(os.getpid(), flush=True)' + SLEEP)
    process = subprocess.Popen(
        [python, '-c', code, tmp_path / 'there'], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True)
    while not (tmp_path / 'there').exists():
        time.sleep(0.01)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert process.returncode == 1 and err == 'interrupted\n'
    else:
        assert process.returncode == -number
    if number == signal.SIGKILL:
        while os.path.exists(f'/proc/{int(out)}'):
            time.sleep(0.01)
