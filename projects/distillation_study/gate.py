r"""Measures how much better a teacher's dictionary could be.

    python projects/distillation_study/gate.py --state work_dirs/study2 \
        --data-root data/faces work_dirs/study2/networks/teacher-s0.pth

Each variant fine-tunes TEACHER for the same short time on the same batches: atoms
matched on features of LR, as usual; on features of HR, which no method can do at test
time; and features of HR in place of atoms, the limit of an infinite dictionary. The
values of each validation face go to OUT; a variant that is listed there is not run
again.
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
    parser.add_argument('teacher', metavar='TEACHER', help='checkpoint of the teacher')
    parser.add_argument('--state', metavar='DIR', required=True,
                        help='folder of the dictionaries; missing ones are built')
    parser.add_argument('--atoms', nargs='+', type=whole_number(1), default=[64, 512],
                        metavar='K', help='atoms of the dictionaries; the first is the '
                        "teacher's (default: 64 512)")
    parser.add_argument('--config', default=_FOLDER / 'configs/second/gate.py',
                        help='training config of the variants')
    parser.add_argument('--out', metavar='CSV', type=Path,
                        default=_FOLDER / 'results_second' / 'gate' / 'values.csv',
                        help='file of the results (default: results_second/gate/'
                        'values.csv)')
    parser.add_argument('--report', action='store_true',
                        help='only print the table of the finished variants')
    parser.add_argument('--figure', metavar='PNG', type=Path,
                        help='also draw the differences')
    parser.add_argument('--threads', type=whole_number(1), default=1,
                        help='cores (default: 1)')
    add_override_arguments(parser)
    return parser.parse_args()


@report_errors
def main() -> None:
    """Runs the unfinished variants and prints a table."""
    arguments = parse_arguments()
    import torch

    from fdsr.registry import register_all
    from projects.distillation_study.study.gate import (
        finished,
        gate_table,
        run_variant,
        variants_of,
    )
    register_all()
    torch.set_num_threads(arguments.threads)
    for variant in [] if arguments.report else variants_of(arguments.atoms):
        if variant.name not in finished(arguments.out):
            run_variant(variant, arguments.teacher, Path(arguments.state),
                        arguments.config, arguments.out, override_options(arguments))
            print(f'{variant.name}: done', flush=True)
    print(gate_table(arguments.out))
    if arguments.figure:
        from projects.distillation_study.study.drawing import save
        from projects.distillation_study.study.question_plots import draw_gate
        print(save(draw_gate(arguments.out), arguments.figure))


if __name__ == '__main__':
    main()
