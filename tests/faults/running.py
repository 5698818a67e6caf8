"""Command line of the fault campaign."""

import argparse
import json
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults import campaign, fuzz, streams
from tests.faults.preload import preload
from tests.faults.processes import adopt_orphans, die_with_parent, run_once
from tests.faults.report import update_page, write_report
from tests.faults.victims import ROOT, VICTIMS, Victim, make_inputs

PARTS = ('kills', 'streams', 'fuzz')
#: The sample of ``make test``: fast tools, and one position of a stream.
SAMPLE_TOOLS = ('extract_landmarks, no worker', 'prepare_faces, LMDB, no worker',
                'convert_checkpoint')
SAMPLE_MODULES = ('pandas', 'fdsr.preparation.faces.prepare',
                  'fdsr.preparation.landmarks.extraction',
                  'fdsr.interchange.conversion')
SAMPLE = dict(kinds=((1, 0),), positions=('mid-epoch N',), added=False)


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.faults', description='Kills every tool and resumes it, '
        'and mutates every kind of input. The exit code is 1 if a result differs.')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/faults'),
                        metavar='DIR', help='report and runs with problems (default: '
                        'work_dirs/faults)')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--minutes', type=float, default=28, metavar='M',
                        help='no case starts later (default: 28)')
    parser.add_argument('--scale', type=int, default=2, metavar='N',
                        help='factor of the numbers of runs (default: 2)')
    parser.add_argument('--inputs', type=int, default=2400, metavar='N',
                        help='number of mutated inputs (default: 2400)')
    parser.add_argument('--jobs', type=int, default=2, metavar='N',
                        help='processes that kill tools (default: 2)')
    parser.add_argument('--only', choices=PARTS, nargs='+', default=PARTS,
                        help='parts of the campaign (default: all)')
    parser.add_argument('--tool', metavar='NAME',
                        help='only tools whose name matches this regular expression')
    parser.add_argument('--run', type=int, metavar='N',
                        help='only this run of --tool')
    parser.add_argument('--docs', action='store_true',
                        help='write the tables into docs/reliability.md')
    parser.add_argument('--sample', action='store_true',
                        help='a sample of all parts that takes seconds')
    arguments = parser.parse_args()
    if arguments.sample:
        arguments.inputs, arguments.jobs, arguments.scale = 160, 1, 1
    if arguments.tool or arguments.run is not None:
        arguments.only = ('kills',)
    return arguments


def main() -> None:
    """Runs the campaign."""
    arguments = parse_arguments()
    started = time.monotonic()
    work = (arguments.out / 'runs').absolute()
    shutil.rmtree(work, ignore_errors=True)
    inputs = work / 'inputs'
    inputs.mkdir(parents=True)
    preload(*([SAMPLE_MODULES] if arguments.sample else []))
    adopt_orphans()
    made = run_once(lambda: make_inputs(inputs, not arguments.sample), work, inputs)
    if made.code:
        sys.exit(f'The inputs cannot be made: {(work / "log.txt").read_text()}')
    found: dict[str, Any] = {}
    until = started + 60 * arguments.minutes
    if 'fuzz' in arguments.only:
        found['fuzz'] = fuzz.run_fuzz(work / 'fuzz', inputs, arguments.seed,
                                      arguments.inputs, until, show)
    if 'streams' in arguments.only:
        found['streams'] = streams.check_streams(
            work / 'streams', show, **(SAMPLE if arguments.sample else {}))
    if 'kills' in arguments.only:
        found['kills'] = kill_all(arguments, inputs, work, until)
    ok = write_report(arguments, found, time.monotonic() - started)
    if arguments.docs:
        update_page(ROOT / 'docs' / 'reliability.md',
                    json.loads((arguments.out / 'report.json').read_text()))
    sys.exit(0 if ok else 1)


def show(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def kill_all(arguments: argparse.Namespace, inputs: Path, work: Path, until: float
             ) -> dict[str, Any]:
    """Kills the tools, in several processes, and returns rows and failures."""
    victims = [victim for victim in VICTIMS
               if (not arguments.tool or re.search(arguments.tool, victim.name))
               and (not arguments.sample or victim.name in SAMPLE_TOOLS)]
    if arguments.sample:
        victims = [replace(victim, share=2) for victim in victims]
    if arguments.run is not None:
        results = list(repeat(victims, arguments, inputs, work))
    else:
        results = in_parallel(arguments.jobs, work, lambda part: campaign.run_campaign(
            victims, inputs, work, arguments.seed, arguments.scale, until, part))
    runs = [one for one in results if not isinstance(one, str)]
    return dict(rows=campaign.summary(victims, runs),
                failures=campaign.failures(runs, arguments.seed),
                notes=[one for one in results if isinstance(one, str)])


def repeat(victims: list[Victim], arguments: argparse.Namespace, inputs: Path,
           work: Path) -> Iterator[Any]:
    """Repeats one run of a tool."""
    killing = campaign.Campaign(inputs, work, arguments.seed)
    for victim in victims:
        result = killing.disturb(victim, arguments.run, killing.baseline(victim))
        show(json.dumps(vars(result), indent=1))
        yield result


def in_parallel(jobs: int, work: Path,
                run: Callable[[tuple[int, int]], Iterator[Any]]) -> list[Any]:
    """Runs parts of the campaign in forked processes and returns all results."""
    processes = []
    for number in range(jobs):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                die_with_parent()
                adopt_orphans()
                with (work / f'part_{number}.jsonl').open('w') as file:
                    for one in run((number, jobs)):
                        line = json.dumps(one if isinstance(one, str) else vars(one))
                        print(line, file=file, flush=True)
                        show(line)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        processes.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in processes]
    results = []
    for number, code in enumerate(codes):
        lines = (work / f'part_{number}.jsonl').read_text().splitlines()
        results += [one if isinstance(one, str) else campaign.Disturbed(**one)
                    for one in map(json.loads, lines)]
        if code:
            results.append(f'part {number} of the campaign ended with {code}')
    return results
