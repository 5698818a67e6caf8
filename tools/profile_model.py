r"""Measures the cost of a network: parameters, GMACs, time and memory.

    python tools/profile_model.py configs/rcan_vggface2.py
    python tools/profile_model.py configs/distill_vggface2.py \
        work_dirs/distill_vggface2/iter_300000.pth --batch-sizes 1 8 --out profile.json
    python tools/profile_model.py CHECKPOINT

CONFIG is any training config. Without a checkpoint the network is built untrained, and
no weights, dictionary or data are needed, because the cost does not depend on them. For
a teacher, landmark detection, encoder, dictionary and decoder are also listed
separately.
"""

import argparse
import contextlib

from _arguments import add_override_arguments, override_options, report_errors

_CONFIGS = ('.py', '.json', '.yaml', '.yml')


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG',
                        help='path of the config, or of a self-describing checkpoint')
    parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT',
                        help='load the networks from this file')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 8],
                        metavar='B', help='images per call (default: 1 8)')
    parser.add_argument('--repeats', type=int, default=5, metavar='N',
                        help='timed calls (default: 5)')
    parser.add_argument('--warmup', type=int, default=1, metavar='N',
                        help='untimed calls before them (default: 1)')
    parser.add_argument('--device', default='cpu', help='e.g. cuda (default: cpu)')
    parser.add_argument('--lr-size', type=int, metavar='PX',
                        help="side of LR; default: the dataset's, the network's, or "
                        "the paper's 32")
    parser.add_argument('--num-atoms', type=int, default=512, metavar='K',
                        help='atoms per component and level if the dictionary file is '
                        'missing (default: 512)')
    parser.add_argument('--no-landmarks', action='store_true',
                        help='do not measure the landmark detector; by default it is '
                        'measured on the test data, or else on synthetic faces')
    add_override_arguments(parser)
    parser.add_argument('--out', metavar='FILE.json', help='file of the numbers')
    return parser.parse_args()


@report_errors
def main() -> None:
    """Measures the networks and prints the tables."""
    arguments = parse_arguments()
    from fdsr.engine.config import temporary_config
    from fdsr.registry import register_all
    register_all()
    from fdsr.profiling.subjects import (
        profile_subjects,
        subjects_of_checkpoint,
        subjects_of_config,
    )
    from fdsr.profiling.table import format_profile, write_profiles
    is_config = arguments.config.endswith(_CONFIGS)
    with (temporary_config(arguments.config, **override_options(arguments))
          if is_config else contextlib.nullcontext()) as config:
        subjects = subjects_of_config(
            config, arguments.checkpoint, arguments.lr_size, arguments.num_atoms
        ) if is_config else subjects_of_checkpoint(arguments.config, arguments.lr_size)
        profiles, notes = profile_subjects(
            subjects, config, arguments.batch_sizes, arguments.device,
            arguments.warmup, arguments.repeats,
            landmarks=not arguments.no_landmarks)
    print(format_profile(profiles, notes))
    if arguments.out:
        write_profiles(arguments.out, profiles, notes)


if __name__ == '__main__':
    main()
