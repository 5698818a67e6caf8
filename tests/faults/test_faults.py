"""A short sample of the fault campaign; ``make faults`` runs all of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> dict:
    """The report of a small campaign, in a process that has no threads."""
    out = tmp_path_factory.mktemp('faults')
    done = subprocess.run(
        [sys.executable, '-m', 'tests.faults', '--sample', '--out', str(out)],
        cwd=REPOSITORY, text=True, capture_output=True, timeout=600,
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    path = out / 'report.json'
    assert path.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.slow
def test_killed_tools_end_with_the_same_result(report):
    total = report['kills']['rows'][-1]
    assert total['runs'] == 6 and total['kills'] >= 6
    assert not report['kills']['failures'] and not report['kills']['notes']
    assert total['finished'] == total['bit-equal'] == total['runs']


def test_a_resumed_run_uses_the_samples_of_an_uninterrupted_one(report):
    assert report['streams'] and all(row['equal'] for row in report['streams'])


def test_mutated_inputs_are_correct_or_named_errors(report):
    total = report['fuzz']['rows'][-1]
    assert total['inputs'] >= 150
    assert not report['fuzz']['failures'] and not report['fuzz']['notes']


def test_the_report_is_a_table(report):
    from tests.faults.report import table
    lines = table(report['kills']['rows'])
    assert lines[0].startswith('| tool | runs | kills | restarts |')
    assert len(lines) == len(report['kills']['rows']) + 2


def test_a_torn_save_is_noticed(tmp_path: Path):
    """The campaign itself: a kill inside of a save leaves half of the file.

    torch names the content after the file, and that of a buffer "archive".
    """
    code = f'''
import torch
from pathlib import Path
from tests.faults.points import FaultPoint
from tests.faults.processes import run_once
out = Path({str(tmp_path)!r}) / 'out'
out.mkdir()
def save():
    torch.save(torch.zeros(1000), out / 'archive.pth')
whole = run_once(save, out.parent, out)
size = (out / 'archive.pth').stat().st_size
assert not whole.killed and [one.kind for one in whole.operations] == ['torch.save']
torn = run_once(save, out.parent, out, FaultPoint('torn', 0))
assert torn.killed and (out / 'archive.pth').stat().st_size == size // 2
'''
    subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, check=True)
