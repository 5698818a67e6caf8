"""Every benchmark runs and ends with its ratio."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / 'benchmarks').glob('*.py'))
# What makes a benchmark small.
QUICK = {'index': ['--rows', '100000']}
# Its peak memory would be that of the benchmarks before it.
MEASURES_ITS_PROCESS = 'dictionary_memory'
# Runs one after the other in one process, which imports torch once.
DRIVER = """
import contextlib, io, json, os, runpy, sys, traceback
found = {}
for path, *options in json.loads(sys.argv[1]):
    sys.argv, printed = [path, *options], io.StringIO()
    sys.path[0] = os.path.dirname(path)
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(path, run_name='__main__')
    except BaseException:
        traceback.print_exc(file=printed)
    found[path] = printed.getvalue()
print()
print(json.dumps(found))
"""


@pytest.fixture(scope='module')
def printed():
    """Returns what each benchmark printed, by its path."""
    runs = [[str(path), *QUICK.get(path.stem, ['--quick'])] for path in BENCHMARKS]
    alone = [run for run in runs if Path(run[0]).stem == MEASURES_ITS_PROCESS]
    found = {}
    for python, group in ((sys.executable, alone),
                          (warm.python(), [run for run in runs if run not in alone])):
        done = subprocess.run([python, '-c', DRIVER, json.dumps(group)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found.update(json.loads(done.stdout.splitlines()[-1]))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize('path', BENCHMARKS, ids=lambda path: path.stem)
def test_ends_with_its_ratio(path, printed):
    last = printed[str(path)].strip().splitlines()[-1]
    found = re.fullmatch(rf'{path.stem}: ratio (\d+\.?\d*)', last)
    assert found and float(found.group(1)) > 0, printed[str(path)][-2000:]
