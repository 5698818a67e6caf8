r"""Measures a landmark network next to its teacher: accuracy and cost.

    python tools/evaluate_landmarks.py configs/reduced/landmark_student.py \
        work_dirs/reduced/landmark_student/iter_800.pth --data-root data/faces

Prints the normalized mean error on the test faces, parameters, GMACs and latency.
"""

import argparse

from _arguments import (
    add_override_arguments,
    override_options,
    report_errors,
    whole_number,
)


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG',
                        help='config of the distillation')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='its checkpoint')
    parser.add_argument('--repeats', type=whole_number(1), default=5, metavar='N',
                        help='timed calls (default: 5)')
    parser.add_argument('--device', default='cpu', help='e.g. cuda (default: cpu)')
    add_override_arguments(parser)
    parser.add_argument('--out', metavar='FILE.json', help='file of the numbers')
    return parser.parse_args()


@report_errors
def main() -> None:
    """Measures both networks and prints a table."""
    arguments = parse_arguments()
    from fdsr.engine.config import temporary_config
    from fdsr.registry import register_all
    from fdsr.utils.files import write_json
    register_all()
    from fdsr.profiling.landmark_networks import (
        evaluate_landmarks,
        format_landmarks,
        to_plain,
    )
    with temporary_config(arguments.config, **override_options(arguments)) as config:
        results = evaluate_landmarks(config, arguments.checkpoint, arguments.device,
                                     repeats=arguments.repeats)
    print(format_landmarks(results))
    if arguments.out:
        write_json(arguments.out, to_plain(results))


if __name__ == '__main__':
    main()
