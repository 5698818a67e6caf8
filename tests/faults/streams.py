"""Checks that a resumed run uses the samples of an uninterrupted one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import toy
from tests.faults.processes import run_once, run_ranks
from tests.faults.results import by_iteration
from tests.faults.victims import distillation

LENGTH, MORE, END = 12, 16, 14
#: Iterations after which a run ends and is resumed, for 12 samples in batches of 2.
POSITIONS = {1: {'mid-epoch 0': 2, 'epoch boundary': 6, 'mid-epoch N': 9},
             2: {'mid-epoch 0': 2, 'epoch boundary': 3, 'mid-epoch N': 7}}


def check_streams(work: Path, inputs: Path, show: Callable[[str], None]
                  ) -> list[dict[str, Any]]:
    """Interrupts runs at several positions and compares the samples of each rank.

    A run that is resumed with more data has to continue with the samples that an
    uninterrupted run on the larger dataset uses from the same position.

    Returns:
        A row for each number of ranks and of workers, and each position.
    """
    rows = []
    for ranks, workers in ((1, 0), (1, 2), (2, 0), (2, 2)):
        case = _Case(work / f'{ranks}_{workers}', inputs, ranks, workers)
        whole = case.run('whole', [(END, LENGTH)])
        larger = case.run('larger', [(END, MORE)])
        for position, cut in POSITIONS[ranks].items():
            for kind, length, expected in (('', LENGTH, whole),
                                           (', with data added', MORE, larger)):
                found = case.run(f'{cut}_{length}', [(cut, LENGTH), (END, length)])
                row = dict(position=position + kind, ranks=ranks, workers=workers)
                row.update(_verdict(found, expected, whole, cut))
                rows.append(row)
                show(str(row))
    return rows


class _Case:
    """Runs with one number of ranks and of workers."""

    def __init__(self, folder: Path, inputs: Path, ranks: int, workers: int) -> None:
        self.folder, self.inputs = folder, inputs
        self.ranks, self.workers = ranks, workers

    def run(self, name: str, parts: list[tuple[int, int]]
            ) -> dict[int, dict[str, list[str]]] | str:
        """Trains in parts and returns the samples of each rank by iteration.

        Args:
            name: name of the run.
            parts: for each part, its last iteration and the length of the dataset.
        """
        folder = self.folder / name
        out = folder / 'out'
        out.mkdir(parents=True)
        for number, (end, length) in enumerate(parts):
            ended = run_once(lambda: self._train(out, end, length, number > 0),
                             folder, out)
            if ended.code or ended.orphans:
                log = (folder / 'log.txt').read_text().strip().splitlines()
                return f'exit code {ended.code}: {log[-1] if log else ""}'
        return {rank: {iteration: line['names'] for iteration, line in by_iteration(
            out / f'samples_rank{rank}.jsonl').items()} for rank in range(self.ranks)}

    def _train(self, out: Path, end: int, length: int, resume: bool) -> None:
        config = distillation(
            self.inputs / 'teacher' / 'iter_3.pth', self.workers, self.ranks,
            train_cfg__max_iters=end, default_hooks__checkpoint__interval=end,
            train_dataloader__dataset__length=length, resume=resume)
        config.work_dir = str(out)
        for wrapper in (config.optim_wrapper.student,
                        config.optim_wrapper.discriminator):
            wrapper.accumulative_counts = 1
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
