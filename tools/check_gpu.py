"""Checks a GPU in eight minutes: tests, training speed, resume, NCCL, inference.

    python tools/check_gpu.py
    python tools/check_gpu.py --miniature

Needs one GPU, but neither data nor weights: the full-size configs train at 256 px on
synthetic faces, with random VGG-19 weights. It measures speed and memory, not quality.
--miniature runs the same steps with toy networks on the CPU.

Each measurement gets a share of the remaining time. If one fails, its row in the table
says why, the others still run, and the exit status is 1. The table is printed and
written to OUT/check_gpu.md and OUT/check_gpu.json.
"""

import argparse
import shlex
import sys
from pathlib import Path

from _arguments import report_errors, whole_number

ROOT = Path(__file__).resolve().parents[1]
STEPS = ('tests', 'resume', 'processes', 'training', 'inference', 'compile')
CONFIGS = ('teacher', 'distill', 'student', 'rcan')


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/check_gpu'),
                        metavar='DIR', help='folder of the table and the logs '
                        '(default: work_dirs/check_gpu)')
    parser.add_argument('--minutes', type=float, default=8.0, metavar='M',
                        help='time limit (default: 8); steps beyond it are listed as '
                        'not run')
    parser.add_argument('--miniature', action='store_true',
                        help='the same steps with toy networks on the CPU')
    parser.add_argument('--only', nargs='+', choices=STEPS, default=STEPS,
                        metavar='STEP',
                        help=f'steps to run: {", ".join(STEPS)} (default: all)')
    parser.add_argument('--configs', nargs='+', choices=CONFIGS, default=CONFIGS,
                        metavar='NAME',
                        help=f'configs to train: {", ".join(CONFIGS)} (default: all)')
    parser.add_argument('--steps', type=whole_number(2), metavar='N',
                        help='largest number of timed training steps '
                        '(default: 200, in miniature 2)')
    parser.add_argument('--batch-size', type=whole_number(1), metavar='B',
                        help="batch size of the training; default: each config's")
    return parser.parse_args()


@report_errors
def main() -> None:
    """Runs the checks and prints the table."""
    arguments = parse_arguments()
    sys.path.insert(0, str(ROOT))
    from benchmarks.gpu_check.check import Settings, run_check
    report = run_check(Settings(
        root=ROOT, out=arguments.out, minutes=arguments.minutes,
        miniature=arguments.miniature, only=tuple(arguments.only),
        configs=tuple(arguments.configs), batch_size=arguments.batch_size,
        steps=arguments.steps or (2 if arguments.miniature else 200),
        command=shlex.join(['python', 'tools/check_gpu.py', *sys.argv[1:]])))
    print(f'\n{report.to_markdown()}\n\nWritten to {arguments.out}.')
    sys.exit(1 if report.failed else 0)


if __name__ == '__main__':
    main()
