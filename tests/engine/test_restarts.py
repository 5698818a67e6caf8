"""A process that is killed is restarted with the others, to the same result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fdsr.datasets import SyntheticFacesDataset
from tests import toy
from tests.engine import restart_runs
from tests.faults.results import by_iteration, differences, digests_of, leftovers

ROOT = restart_runs.ROOT


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    """What ``restart_runs`` writes, from a process without threads."""
    folder = tmp_path_factory.mktemp('runs')
    done = subprocess.run(
        [sys.executable, '-m', 'tests.engine.restart_runs', str(folder), '1'],
        text=True, cwd=ROOT, capture_output=True, timeout=600, env={
            **os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.mark.slow
def test_killed_processes_end_with_the_same_result(out):
    assert json.loads((out / 'whole.json').read_text()) == 0
    restarts = json.loads((out / 'killed_0.json').read_text())
    assert 1 <= restarts <= restart_runs.KILLS
    whole, killed = (digests_of(out / name, training=True)
                     for name in ('whole', 'killed_0'))
    assert any('optimizer' in key for key in whole)
    assert not differences(whole, killed)
    assert not leftovers(out / 'whole', out / 'killed_0')


@pytest.mark.slow
def test_a_batch_lost_on_one_rank_is_not_read_again(out):
    """Rank 1 is a batch ahead after its loss in the first epoch, also after restarts.

    Rank r reads the samples r, r + 2, … of each epoch of 12, in batches of 2.
    """
    faces = SyntheticFacesDataset(12, size=toy.SIZE)
    for run in ('whole', 'killed_0'):
        for rank in range(2):
            lines = by_iteration(out / run / f'samples_rank{rank}.jsonl')
            found = [name for line in lines.values() for name in line['names']]
            stream = [faces.sample_name(index) for _ in range(4)
                      for index in range(rank, 12, 2)
                      if index not in restart_runs.LOST]
            assert found == stream[:2 * restart_runs.ITERATIONS]


@pytest.fixture
def script(tmp_path):
    """Runs a launch script with stand-ins for ``python``, ``srun`` and ``scontrol``.

    They print what they are called with.
    """
    python = (f'[ "$1" = -m ] || exec {sys.executable} "$@"\necho "python $*"\n'
              'echo "own store: $TORCH_DISABLE_SHARE_RDZV_TCP_STORE" >&2')
    srun = ('echo "srun $*"\nwhile [ "$1" != bash ]; do shift; done\n'
            'for node in $(seq 0 $((NNODES - 1))); do SLURM_NODEID=$node "$@"; done')
    scontrol = '[ "$*" = "show hostnames n[7-8]" ] && printf "n7\\nn8\\n"'
    for name, lines in dict(python=python, srun=srun, scontrol=scontrol).items():
        (tmp_path / name).write_text(f'#!/bin/bash\n{lines}\n')
        (tmp_path / name).chmod(0o755)

    def run(name, *arguments, **variables):
        return subprocess.run(
            [ROOT / 'tools' / name, *arguments], text=True, capture_output=True,
            env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **variables})
    return run


@pytest.mark.parametrize('option', [['--max-restarts', '3'], ['--max-restarts=3']])
def test_max_restarts_is_an_option_of_torchrun(script, option):
    done = script('dist_train.sh', 'c.py', '2', '--work-dir', 'a b', *option,
                  '--resume')
    printed = done.stdout
    assert done.stderr == 'own store: 1\n', 'addresses of the processes before'
    assert '--rdzv-backend=c10d --rdzv-endpoint=127.0.0.1:' in printed
    assert '--max-restarts=3 --nproc_per_node=2' in printed
    assert printed.endswith(
        'train.py c.py --launcher pytorch --work-dir a b --resume\n')


def test_without_restarts_the_ranks_are_fixed(script):
    printed = script('dist_train.sh', 'c.py', '2', NNODES='2', NODE_RANK='1').stdout
    assert '--node_rank=1 --master_addr=127.0.0.1 --master_port=29500' in printed
    assert 'max-restarts' not in printed


@pytest.mark.parametrize('value', ['', 'many', '-1'])
def test_a_number_of_restarts_is_expected(script, value):
    done = script('dist_train.sh', 'c.py', '2', f'--max-restarts={value}')
    assert done.returncode == 2 and f"found '{value}'" in done.stderr
    assert script('dist_train.sh', 'c.py', '2', '--max-restarts').returncode == 2


def test_slurm_starts_a_launcher_per_node(script):
    done = script('slurm_train.sh', 'gpu', 'faces', 'c.py', 'out', '--max-restarts=2',
                  GPUS='8', GPUS_PER_NODE='4', SRUN_ARGS='--time=1:00 --mem=8G',
                  SLURM_JOB_NODELIST='n[7-8]', SLURM_JOB_ID='20001')
    *called, first, second = done.stdout.splitlines()
    assert called[0].startswith(
        'srun -p gpu --job-name=faces --gres=gpu:4 --nodes=2 --ntasks=2 '
        '--ntasks-per-node=1 --cpus-per-task=20 --kill-on-bad-exit=1 --time=1:00 '
        '--mem=8G bash -c')
    for node in (first, second):
        assert ('--nnodes=2 --rdzv-backend=c10d --rdzv-endpoint=n7:20001 '
                '--rdzv-id=20001 --max-restarts=2 --nproc_per_node=4') in node
        assert node.endswith('c.py --launcher pytorch --work-dir out')


def test_slurm_numbers_the_nodes(script):
    done = script('slurm_train.sh', 'gpu', 'faces', 'c.py', 'out', GPUS='16',
                  SLURM_JOB_NODELIST='n[7-8]', SLURM_JOB_ID='5')
    nodes = done.stdout.splitlines()[-2:]
    assert [node.split('--node_rank=')[1].split()[:3] for node in nodes] == [
        [str(rank), '--master_addr=n7', '--master_port=20005'] for rank in range(2)]


def test_slurm_needs_full_nodes(script):
    done = script('slurm_train.sh', 'gpu', 'faces', 'c.py', 'out', GPUS='12')
    assert done.returncode == 2 and 'GPUS=12 is not a multiple' in done.stderr
    assert script('slurm_train.sh', 'gpu', 'faces').returncode == 2


def test_restarts_take_the_newest_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'train.py', 'c.py', '--resume', 'iter_2.pth'],
        text=True, capture_output=True, cwd=tmp_path,
        env={**os.environ, 'TORCHELASTIC_MAX_RESTARTS': '1', 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 2
    assert '--max-restarts resumes from the newest' in done.stderr
    assert 'iter_2.pth' in done.stderr and not list(Path(tmp_path).iterdir())
