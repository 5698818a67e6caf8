"""The dictionary benchmark runs, and notices when its sides differ."""

import runpy
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / 'benchmarks' / 'dictionary.py'


@pytest.fixture(scope='module')
def benchmark():
    return runpy.run_path(str(SCRIPT), run_name='benchmark')


@pytest.mark.slow
def test_a_small_case_runs(benchmark, capsys):
    ratio = benchmark['run']([3], repeats=1)
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [['3', '1'], ['3', '4']]
    assert float(rows[-1].split()[4]) == pytest.approx(ratio, abs=0.06)


def test_other_atoms_or_outputs_stop_it(benchmark):
    check_equal, maps = benchmark['check_equal'], [torch.ones(1, 2, 3, 3)]
    check_equal((maps, {('nose', 0): [1]}), (maps, {('nose', 0): [1]}))
    with pytest.raises(AssertionError, match='different atoms'):
        check_equal((maps, {('nose', 0): [1]}), (maps, {('nose', 0): [2]}))
    with pytest.raises(AssertionError, match='level 0'):
        check_equal((maps, {}), ([maps[0] + 1e-4], {}))
