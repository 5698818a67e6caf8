r"""Runs the unfinished arms of a study, one after the other.

    python projects/distillation_study/run.py --state work_dirs/study \
        --data-root data/faces

An arm with results is finished. An interrupted arm resumes exactly. Several processes
may run at once, on one machine or on several that share STATE: each runs a job that no
other is running. --report writes tables and plots of the finished arms, --figure draws
their outputs for some faces.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools._arguments import (
    add_override_arguments,
    override_options,
    report_errors,
)

_PLAN = Path(__file__).resolve().parent / 'configs' / 'plan.py'
_WAIT = 20  # seconds between looks for new jobs


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('plan', nargs='?', default=_PLAN,
                        help="the plan (default: this folder's configs/plan.py)")
    parser.add_argument('--state', metavar='DIR',
                        help='folder of checkpoints, dictionary and frozen features')
    add_override_arguments(parser)
    parser.add_argument('--minutes', type=float,
                        help='time limit; an interrupted job resumes next time')
    parser.add_argument('--threads', type=int, default=1,
                        help='cores for each job (default: 1)')
    parser.add_argument('--list', action='store_true',
                        help='list the jobs that can start now')
    parser.add_argument(
        '--report', nargs='*', choices=['val', 'test'], metavar='LIST',
        help='only write tables and plots, of val or of the named lists; use test at '
        'the end of the study only')
    parser.add_argument(
        '--figure', metavar='FILE',
        help='only draw LR, the finished arms and HR of some faces, to FILE.png and '
        'FILE.pdf')
    parser.add_argument('--faces', nargs='+', metavar='NAME',
                        help='faces of the figure; default: the best, median and worst '
                        'of the first arm with a teacher')
    parser.add_argument('--keep', metavar='DIR', type=Path,
                        help="folder of the figure's images, which replace networks "
                        'that no longer exist')
    parser.add_argument('--of', choices=['val', 'test'], default='val',
                        help="list of the figure's faces (default: val)")
    parser.add_argument('--job', help=argparse.SUPPRESS)  # of a subprocess
    arguments = parser.parse_args()
    if arguments.report is None and not arguments.state:
        parser.error('give --state DIR; only --report works without it')
    for name in ('faces', 'keep'):
        if getattr(arguments, name) and not arguments.figure:
            parser.error(f'--{name} requires --figure FILE')
    return arguments


@report_errors
def main() -> None:
    """Runs jobs, or writes the report or the figure."""
    arguments = parse_arguments()
    from projects.distillation_study.study.plan import read_plan
    plan = read_plan(Path(arguments.plan))
    if arguments.report is not None:
        from projects.distillation_study.study.document import write_report
        from projects.distillation_study.study.plots import write_plots
        lists = arguments.report or ['val']
        arms = plan.described()
        write_report(arms, plan.results, plan.document, lists)
        for path in write_plots(
                arms, plan.results, plan.document.with_suffix(''), lists[0]):
            print(path)
        return
    from projects.distillation_study.study.jobs import Study
    study = Study(plan, Path(arguments.state))
    if arguments.figure:
        from fdsr.registry import register_all
        from projects.distillation_study.study.figure import draw_arms
        register_all()
        names, files = draw_arms(
            study, Path(arguments.figure), override_options(arguments), arguments.of,
            arguments.faces, arguments.keep)
        print('faces: ' + ', '.join(names), *files, sep='\n')
    elif arguments.list:
        print('\n'.join(study.pending()) or 'everything is finished')
    elif arguments.job:
        do(study, arguments)
    else:
        work(study, arguments)


def do(study: Any, arguments: argparse.Namespace) -> None:
    """Runs a job in this process."""
    import torch

    from fdsr.registry import register_all
    torch.set_num_threads(arguments.threads)
    register_all()
    study.do(arguments.job, override_options(arguments), say)


def work(study: Any, arguments: argparse.Namespace) -> None:
    """Runs jobs until all are finished, or the time limit is reached.

    Raises:
        SystemExit: a job failed; its own message is printed above.
    """
    end = None if arguments.minutes is None else (
        time.monotonic() + 60 * arguments.minutes)
    while not study.is_done():
        if end is not None and time.monotonic() > end:
            say('time limit reached')
            return
        if not any(take(study, job, end, arguments.threads)
                   for job in study.pending()):
            time.sleep(_WAIT)
    say('everything is finished')


def take(study: Any, job: str, end: float | None, threads: int) -> bool:
    """Runs a job in a subprocess, unless another process is running it."""
    with study.locked(job) as lock:
        if lock is None or job not in study.pending():
            return False
        say(f'{job}: started')
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *sys.argv, '--job', job],
            env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            pass_fds=[lock])  # keeps the lock if this process is killed
        try:
            code = process.wait(None if end is None else max(1.0, end - started))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            say(f'{job}: interrupted after {(time.monotonic() - started) / 60:.0f} '
                'min, resumes next time')
            return True
        if code:
            raise SystemExit(f'{job} failed with status {code}.')
        say(f'{job}: done in {(time.monotonic() - started) / 60:.1f} min')
        return True


def say(message: str) -> None:
    """Prints a line with the time and flushes it."""
    print(time.strftime('%H:%M:%S ') + message, flush=True)


if __name__ == '__main__':
    main()
