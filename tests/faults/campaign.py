"""Kills the tools, restarts them until they end, and compares the results."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.points import FaultPoint, draw_points
from tests.faults.processes import Ended, run_once
from tests.faults.results import differences, digests_of, leftovers
from tests.faults.victims import ROOT, Victim

#: Kills of one run before it may end; most runs end before the last one comes.
MOST_KILLS = 4


class Baseline(NamedTuple):
    """An undisturbed run of a tool.

    Args:
        out: its results.
        digests: their digests.
        ended: its duration and file operations.
    """

    out: Path
    digests: dict[str, str]
    ended: Ended


@dataclass
class Disturbed:
    """A run that was killed and restarted until it ended.

    Args:
        tool: name of the tool.
        number: number of the run; with the seed, it fixes the fault points.
        points: fault points that were reached.
        restarts: number of starts after the first.
        finished: the tool ended by itself, with exit code 0.
        equal: the result is bit-equal to the undisturbed one.
        leftovers: files and folders that an undisturbed run does not have, and the
            tool's own in the temporary folder.
        orphans: number of processes that outlived the tool.
        problem: error of a restart, or the first difference.
    """

    tool: str
    number: int
    points: list[str] = field(default_factory=list)
    restarts: int = 0
    finished: bool = False
    equal: bool = False
    leftovers: list[str] = field(default_factory=list)
    orphans: int = 0
    problem: str = ''


class Campaign:
    """Kills tools.

    Args:
        inputs: folder of ``victims.make_inputs``.
        work: folder for the runs; those without a problem are removed.
        seed: seed of the fault points.
    """

    def __init__(self, inputs: Path, work: Path, seed: int) -> None:
        self.inputs, self.work, self.seed = inputs, work, seed

    def baseline(self, victim: Victim) -> Baseline:
        """Runs a tool undisturbed.

        Raises:
            RuntimeError: the tool fails.
        """
        folder = self._folder(victim, 'undisturbed')
        ended = self._start(victim, folder)
        if ended.code != 0 or ended.orphans:
            raise RuntimeError(f'{victim.name} fails undisturbed (exit code '
                               f'{ended.code}): {_last_line(folder)}')
        out = folder / 'out'
        return Baseline(out, digests_of(out, victim.training), ended)

    def disturb(self, victim: Victim, number: int, baseline: Baseline) -> Disturbed:
        """Kills and restarts a tool until it ends, and compares its result."""
        draws = random.Random(f'{self.seed} {victim.name} {number}')
        points = draw_points(
            draws, 1 + draws.randrange(MOST_KILLS), baseline.ended.operations,
            baseline.ended.changes, baseline.ended.seconds, victim.workers)
        folder = self._folder(victim, f'run_{number}')
        result = Disturbed(victim.name, number)
        limit = 60 + 20 * baseline.ended.seconds
        for point in [*(_safe(victim, point) for point in points), None]:
            ended = self._start(victim, folder, point, limit)
            result.orphans += ended.orphans
            if not ended.killed:
                break
            result.points.append(str(point))
            result.restarts += 1
        result.finished = ended.code == 0
        if result.finished:
            self._compare(victim, folder, baseline, result)
        else:
            what = 'hangs' if ended.hung else f'exit code {ended.code}'
            result.problem = f'{what}: {_last_line(folder)}'
        if result.equal and not result.leftovers and not result.orphans:
            shutil.rmtree(folder)
        return result

    def _compare(self, victim: Victim, folder: Path, baseline: Baseline,
                 result: Disturbed) -> None:
        try:
            found = digests_of(folder / 'out', victim.training)
        except Exception as error:
            result.problem = f'the result cannot be read: {error}'
            return
        result.leftovers = leftovers(baseline.out, folder / 'out')
        result.leftovers += sorted(
            path.name for path in (folder / 'tmp').glob('*fdsr*'))
        extra = set(result.leftovers)
        different = [line for line in differences(baseline.digests, found)
                     if line.removeprefix('additional ') not in extra]
        result.equal = not different
        if different:
            result.problem = f'{len(different)} differences: {", ".join(different[:3])}'

    def _folder(self, victim: Victim, name: str) -> Path:
        # the same length for all runs: some files contain paths
        folder = self.work / ''.join(
            letter if letter.isalnum() else '_' for letter in victim.name) / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / 'out').mkdir(parents=True)
        return folder

    def _start(self, victim: Victim, folder: Path, point: FaultPoint | None = None,
               limit: float = 300) -> Ended:
        out = folder / 'out'
        (folder / 'log.txt').unlink(missing_ok=True)
        return run_once(lambda: victim.run(self.inputs, out), folder, out, point, limit)


def _safe(victim: Victim, point: FaultPoint) -> FaultPoint:
    """Kills the whole group where the process itself is only torchrun's stand-in."""
    if victim.ranks > 1 and point.kind in ('time', 'change'):
        return point._replace(alone=False)
    return point


def schedule(victims: list[Victim], scale: int) -> Iterator[tuple[Victim, int]]:
    """Yields the runs in an order that reaches every tool early.

    Args:
        victims: the tools.
        scale: factor of the numbers of runs.
    """
    most = max(victim.share for victim in victims) * scale
    for turn in range(most):
        for victim in victims:
            runs = victim.share * scale
            number = -(-turn * runs // most)  # its next run, spread over all turns
            if number < runs and number * most // runs == turn:
                yield victim, number


def run_campaign(victims: list[Victim], inputs: Path, work: Path, seed: int, scale: int,
                 until: float, part: tuple[int, int] = (0, 1)
                 ) -> Iterator[Disturbed | str]:
    """Disturbs every tool and yields the results.

    Args:
        victims: the tools.
        inputs: folder of ``victims.make_inputs``.
        work: folder for the runs.
        seed: seed of the fault points.
        scale: factor of the numbers of runs.
        until: time (``time.monotonic``) after which no run starts.
        part: (i, n): do the i-th of n parts of the tools.

    Yields:
        Results, and messages on tools that fail undisturbed.
    """
    campaign = Campaign(inputs, work, seed)
    baselines: dict[str, Baseline | None] = {}
    mine = victims[part[0]::part[1]]
    for victim, number in schedule(mine, scale) if mine else ():
        if time.monotonic() > until:
            yield f'the time ended before run {number} of {victim.name}'
            return
        if victim.name not in baselines:
            try:
                baselines[victim.name] = campaign.baseline(victim)
            except RuntimeError as error:
                baselines[victim.name] = None
                yield str(error)
        baseline = baselines[victim.name]
        if baseline is not None:
            yield campaign.disturb(victim, number, baseline)


def summary(victims: list[Victim], results: list[Disturbed]) -> list[dict[str, Any]]:
    """Returns a row of the report for each tool."""
    rows = []
    for victim in victims:
        runs = [run for run in results if run.tool == victim.name]
        rows.append({
            'tool': victim.name, 'runs': len(runs),
            'kills': sum(len(run.points) for run in runs),
            'restarts': sum(run.restarts for run in runs),
            'finished': sum(run.finished for run in runs),
            'bit-equal': sum(run.equal for run in runs),
            'leftovers': sum(bool(run.leftovers) for run in runs),
            'orphans': sum(run.orphans for run in runs)})
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != 'tool'}
    return [*rows, {'tool': 'total', **total}]


def failures(results: list[Disturbed], seed: int) -> list[dict[str, Any]]:
    """Returns the runs with a problem, each with the command that repeats it."""
    return [{**asdict(run), 'command': (
        f'python -m tests.faults --seed {seed} --tool "{run.tool}" --run {run.number}')}
        for run in results if not run.equal or run.leftovers or run.orphans]


def _last_line(folder: Path) -> str:
    """Returns the last line of a log, without paths of this machine."""
    log = folder / 'log.txt'
    lines = log.read_text(errors='replace').strip().splitlines() if log.exists() else []
    for path, word in ((folder, 'RUN'), (ROOT, 'CHECKOUT')):
        lines = [line.replace(str(path), word) for line in lines[-1:]]
    return lines[0][:400] if lines else f'no output (process {os.getpid()})'
