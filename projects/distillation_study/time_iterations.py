r"""Measures the CPU seconds per iteration of each part of a training.

    python projects/distillation_study/time_iterations.py --data-root data/faces \
        projects/distillation_study/configs/second/main.py

Parts are the loading of a batch, the teacher's forward pass, and each arm of a joint
run; or one whole training iteration of another config. A missing teacher or dictionary
is replaced by one with random weights, which costs the same.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools._arguments import (
    add_override_arguments,
    override_options,
    report_errors,
    whole_number,
)

_FOLDER = Path(__file__).resolve().parent


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', help='path of the config')
    parser.add_argument('--iterations', type=whole_number(1), default=3, metavar='N',
                        help='iterations after a first one (default: 3)')
    parser.add_argument('--threads', type=whole_number(1), default=1,
                        help='cores (default: 1)')
    parser.add_argument('--teacher', default=_FOLDER / 'configs/second/teacher.py',
                        help='training config of the teacher')
    parser.add_argument('--out', type=Path, metavar='CSV',
                        help='add the seconds to this table, under the name of the '
                        "config's file")
    add_override_arguments(parser)
    return parser.parse_args()


@report_errors
def main() -> None:
    """Prints the table."""
    arguments = parse_arguments()
    import torch

    from fdsr.engine.config import temporary_config
    from fdsr.registry import register_all
    from fdsr.reporting.tables import markdown_table
    from projects.distillation_study.study.timing import (
        add_costs,
        seconds_per_iteration,
        with_random_teacher,
    )
    register_all()
    torch.set_num_threads(arguments.threads)
    with temporary_config(arguments.config, **override_options(arguments)) as config:
        with_random_teacher(config, arguments.teacher)
        found = seconds_per_iteration(config, arguments.iterations)
    print(markdown_table(['Part', 'CPU seconds per iteration'], [
        [part, f'{seconds:.3f}'] for part, seconds in found.items()]))
    if arguments.out:
        add_costs(arguments.out, Path(arguments.config).stem, found)
    print(f'\nMedians of {arguments.iterations} iterations of batch '
          f'{config.train_dataloader.batch_size}, {arguments.threads} core(s).')


if __name__ == '__main__':
    main()
