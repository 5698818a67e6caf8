r"""Runs a study: whatever of its arms is not finished, one after the other.

    python projects/distillation_study/run.py --state work_dirs/study \
        --data-root data/faces

An arm whose results are kept is finished. An arm that was cut off goes on where it was.
Several processes may run at once, on one machine or on several that share STATE: each
takes what no other works on. --report writes tables and plots of what is finished,
--figure draws what the finished arms make of some faces.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools._arguments import parse_options, report_errors

_PLAN = Path(__file__).resolve().parent / 'configs' / 'plan.py'
_WAIT = 20  # seconds, for what other processes make


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('plan', nargs='?', default=_PLAN,
                        help="the plan (default: this folder's configs/plan.py)")
    parser.add_argument('--state', metavar='DIR',
                        help='folder of checkpoints, dictionary, frozen features')
    parser.add_argument('--data-root', metavar='DIR', help='root of the data')
    parser.add_argument('--minutes', type=float,
                        help='stop after so long; what is cut off goes on next time')
    parser.add_argument('--threads', type=int, default=1,
                        help='cores of this process (1)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='values of every config by dotted key')
    parser.add_argument('--list', action='store_true', help='what could be begun now')
    parser.add_argument(
        '--report', nargs='*', choices=['val', 'test'], metavar='LIST',
        help='write tables and plots instead of running: of val alone, or as named; '
        'test is for the end')
    parser.add_argument(
        '--figure', metavar='FILE',
        help='draw LR, the finished arms and HR of some faces instead of running: '
        'FILE.png and FILE.pdf')
    parser.add_argument('--faces', nargs='+', metavar='NAME',
                        help='of the figure; default: those on which the first arm '
                        'that learns from a teacher does best, worst and in between')
    parser.add_argument('--keep', metavar='DIR', type=Path,
                        help="of the figure: the runs' pictures of these faces; those "
                        'of networks that are gone are read there')
    parser.add_argument('--of', choices=['val', 'test'], default='val',
                        help="list of the figure's faces (val)")
    parser.add_argument('--job', help=argparse.SUPPRESS)  # one, in a process of its own
    arguments = parser.parse_args()
    if arguments.report is None and not arguments.state:
        parser.error('give --state DIR; only --report does without')
    for name in ('faces', 'keep'):
        if getattr(arguments, name) and not arguments.figure:
            parser.error(f'--{name} is of a figure: give --figure FILE too')
    return arguments


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from projects.distillation_study.study.plan import read_plan
    plan = read_plan(Path(arguments.plan))
    if arguments.report is not None:
        from projects.distillation_study.study.document import write_report
        from projects.distillation_study.study.plots import write_plots
        lists = arguments.report or ['val']
        arms = dict(arms=[arm.described() for arm in plan.teachers + plan.arms])
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
        names, files = draw_arms(study, Path(arguments.figure), _common(arguments),
                                 arguments.of, arguments.faces, arguments.keep)
        print('faces: ' + ', '.join(names), *files, sep='\n')
    elif arguments.list:
        print('\n'.join(study.pending()) or 'everything is finished')
    elif arguments.job:
        do(study, arguments)
    else:
        work(study, arguments)


def do(study: Any, arguments: argparse.Namespace) -> None:
    """One job, in this process."""
    import torch

    from fdsr.registry import register_all
    torch.set_num_threads(arguments.threads)
    register_all()
    study.do(arguments.job, _common(arguments), say)


def _common(arguments: argparse.Namespace) -> dict:
    """What every config takes from the command line."""
    return dict(data_root=arguments.data_root,
                cfg_options=parse_options(arguments.cfg_options))


def work(study: Any, arguments: argparse.Namespace) -> None:
    """Jobs until nothing is left, or the time is up.

    Raises:
        SystemExit: a job failed; its own message stands above.
    """
    end = None if arguments.minutes is None else (
        time.monotonic() + 60 * arguments.minutes)
    while not study.is_done():
        if end is not None and time.monotonic() > end:
            say('the time is up')
            return
        if not any(take(study, job, end, arguments.threads)
                   for job in study.pending()):
            time.sleep(_WAIT)
    say('everything is finished')


def take(study: Any, job: str, end: Optional[float], threads: int) -> bool:
    """Does a job in a process of its own, unless another process is at it."""
    with study.locked(job) as lock:
        if lock is None or job not in study.pending():
            return False
        say(f'{job}: begun')
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *sys.argv, '--job', job],
            env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            pass_fds=[lock])  # should this process be killed, the other goes on
        try:
            code = process.wait(None if end is None else max(1.0, end - started))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            say(f'{job}: cut off after {(time.monotonic() - started) / 60:.0f} min, '
                'goes on next time')
            return True
        if code:
            raise SystemExit(f'{job} failed with status {code}.')
        say(f'{job}: done in {(time.monotonic() - started) / 60:.1f} min')
        return True


def say(message: str) -> None:
    """Prints a line with the time, at once."""
    print(time.strftime('%H:%M:%S ') + message, flush=True)


if __name__ == '__main__':
    main()
