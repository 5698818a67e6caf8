"""Two processes under torchrun's elastic agent, of which one is killed at a time.

    python -m tests.engine.restart_runs OUT RUNS

The agent forks the processes, so that a restart takes no imports. ``OUT/whole`` is the
work directory of an undisturbed run, ``OUT/killed_N`` those of disturbed ones. Rank 1
loses a batch of each epoch, rank 0 none.
"""

import json
import os
import random
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from fdsr.datasets import SyntheticFacesDataset
from fdsr.datasets.base import BadSample
from fdsr.registry import DATASETS
from tests import toy
from tests.faults.victims import SampleLogHook, write_config

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS, KILLS = 8, 2
#: Second batch of two of rank 1 in the first epoch, without shuffling.
LOST = (5, 7)


@DATASETS.register_module(force=True)
class LossyFacesDataset(SyntheticFacesDataset):
    """Faces of which some cannot be read."""

    def load(self, index):
        """Returns a face."""
        if index in LOST:
            raise BadSample(str(index), 'lost')
        return super().load(index)


def write_run(path: Path, **changes) -> None:
    """Writes the config of the runs."""
    config = toy.restorer_config(
        'unused', train_cfg__max_iters=ITERATIONS,
        default_hooks__checkpoint__interval=2,
        default_hooks__checkpoint__max_keep_ckpts=2,
        train_dataloader__sampler__shuffle=False, **changes)
    config.train_dataloader.dataset.update(type='fdsr.LossyFacesDataset',
                                           max_bad_share=1.0)
    config.custom_hooks = [dict(type=f'fdsr.{SampleLogHook.__name__}')]
    write_config(path, config)


def train(config: str, work_dir: str, seconds: float) -> None:
    """Trains in one of the processes, and kills it in one of its first starts."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the agent's
    rank, attempt = (int(os.environ[name]) for name in (
        'RANK', 'TORCHELASTIC_RESTART_COUNT'))
    draws = random.Random(f'{work_dir[-1]} {attempt}')
    victim, moment = draws.randrange(2), draws.uniform(0, seconds / 2)
    if seconds and attempt < KILLS and rank == victim:
        timer = threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    sys.argv = ['train.py', config, '--launcher', 'pytorch', '--work-dir', work_dir]
    sys.path.insert(0, str(ROOT / 'tools'))
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')
    Path(work_dir).with_suffix('.json').write_text(json.dumps(attempt))


def launch(config: Path, work_dir: Path, seconds: float = 0) -> None:
    """Runs two processes as ``torchrun --max-restarts`` does."""
    elastic_launch(LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=2, rdzv_backend='c10d',
        rdzv_endpoint='127.0.0.1:0', run_id=work_dir.name, max_restarts=KILLS,
        start_method='fork'), train)(str(config), str(work_dir), seconds)


def main(out: Path, runs: int) -> None:
    """Makes all runs."""
    import fdsr.engine.launch  # noqa: F401, so that the forked processes have it
    os.environ['TORCH_DISABLE_SHARE_RDZV_TCP_STORE'] = '1'  # as dist_train.sh
    write_run(out / 'run.py')
    start = time.monotonic()
    launch(out / 'run.py', out / 'whole')
    seconds = time.monotonic() - start
    for number in range(runs):
        launch(out / 'run.py', out / f'killed_{number}', seconds)


if __name__ == '__main__':
    # "restart_runs" would register the dataset a second time
    from tests.engine import restart_runs
    restart_runs.main(Path(sys.argv[1]), int(sys.argv[2]))
