"""Checks that a resumed run uses the samples of an uninterrupted one."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests import toy
from tests.faults import victims  # noqa: F401  registers SampleLogHook
from tests.faults.processes import run_once, run_ranks
from tests.faults.results import by_iteration

LENGTH, MORE, END = 12, 16, 14
#: Iterations after which a run ends and is resumed, for 12 samples in batches of 2.
POSITIONS = {1: {'mid-epoch 0': 2, 'epoch boundary': 6, 'mid-epoch N': 9},
             2: {'mid-epoch 0': 2, 'epoch boundary': 3, 'mid-epoch N': 7}}


def check_streams(work: Path, show: Callable[[str], None],
                  kinds: Sequence[tuple[int, int]] = ((1, 0), (1, 2), (2, 0), (2, 2)),
                  positions: Sequence[str] = tuple(POSITIONS[1]), added: bool = True
                  ) -> list[dict[str, Any]]:
    """Interrupts runs at several positions and compares the samples of each rank.

    A run that is resumed with more data has to continue with the samples that an
    uninterrupted run on the larger dataset uses from the same position.

    Args:
        work: folder for the runs.
        show: called with a line for each comparison.
        kinds: numbers of ranks and workers.
        positions: names in ``POSITIONS``.
        added: also resume with more data.

    Returns:
        A row for each number of ranks and of workers, and each position.
    """
    rows = []
    for ranks, workers in kinds:
        runs = _Runs(work / f'{ranks}_{workers}', ranks, workers)
        lengths = {'': LENGTH, ', with data added': MORE} if added else {'': LENGTH}
        whole = {length: runs.train(f'whole_{length}', END, length)
                 for length in lengths.values()}
        for position in positions:
            cut = POSITIONS[ranks][position]
            first = runs.train(f'cut_{cut}', cut, LENGTH)
            for kind, length in lengths.items():
                found = runs.train(f'{cut}_{length}', END, length, f'cut_{cut}')
                row = dict(position=position + kind, ranks=ranks, workers=workers)
                row.update(_verdict(found, whole[length], first, cut))
                rows.append(row)
                show(str(row))
    return rows


class _Runs:
    """Runs with one number of ranks and of workers."""

    def __init__(self, folder: Path, ranks: int, workers: int) -> None:
        self.folder, self.ranks, self.workers = folder, ranks, workers

    def train(self, name: str, end: int, length: int, resumed: str | None = None
              ) -> dict[int, dict[str, list[str]]] | str:
        """Trains, and returns the samples of each rank by iteration, or the error.

        Args:
            name: name of the run.
            end: its last iteration.
            length: length of the dataset.
            resumed: name of a run that it resumes in a copy of its folder.
        """
        folder = self.folder / name
        out = folder / 'out'
        if resumed:
            # without the sockets that a killed worker left
            shutil.copytree(self.folder / resumed, folder,
                            ignore=shutil.ignore_patterns('tmp'))
        else:
            out.mkdir(parents=True)
        ended = run_once(lambda: self._train(out, end, length, bool(resumed)), folder,
                         out)
        if ended.code or ended.orphans:
            log = (folder / 'log.txt').read_text().strip().splitlines()
            return f'exit code {ended.code}: {log[-1] if log else ""}'
        return {rank: {iteration: line['names'] for iteration, line in by_iteration(
            out / f'samples_rank{rank}.jsonl').items()} for rank in range(self.ranks)}

    def _train(self, out: Path, end: int, length: int, resume: bool) -> None:
        config = toy.restorer_config(
            out, train_cfg__max_iters=end, default_hooks__checkpoint__interval=end,
            train_dataloader__dataset__length=length, resume=resume)
        config.custom_hooks = [dict(type='fdsr.SampleLogHook')]
        config.train_dataloader.num_workers = self.workers
        config.train_dataloader.persistent_workers = self.workers > 0
        if self.ranks > 1:
            run_ranks(lambda: _train_rank(config), self.ranks)
        toy.train(config)


def _train_rank(config: Any) -> None:
    from mmengine.config import Config

    from fdsr.engine.launch import build_runner, end_processes
    assert 'RANK' in os.environ
    build_runner(Config(config.to_dict()), 'pytorch').train()
    end_processes()


def _verdict(found: Any, expected: Any, before: Any, cut: int) -> dict[str, Any]:
    """Compares the samples until the position and after it."""
    for run in (found, expected, before):
        if isinstance(run, str):
            return dict(equal=False, problem=run)
    for rank, samples in expected.items():
        for iteration in samples:
            source = before if int(iteration) <= cut else expected
            if found[rank].get(iteration) != source[rank][iteration]:
                return dict(equal=False, problem=(
                    f'rank {rank}, iteration {iteration}: expected '
                    f'{source[rank][iteration]}, found {found[rank].get(iteration)}'))
    return dict(equal=True, problem='')
