"""Every benchmark runs and ends with its ratio."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / 'benchmarks').glob('*.py'))
# What makes a benchmark small.
QUICK = {'index': ['--rows', '100000']}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize('path', BENCHMARKS, ids=lambda path: path.stem)
def test_ends_with_its_ratio(path):
    done = subprocess.run(
        [sys.executable, str(path), *QUICK.get(path.stem, ['--quick'])],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(rf'{path.stem}: ratio (\d+\.?\d*)', last)
    assert found and float(found.group(1)) > 0, last
