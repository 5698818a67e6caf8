r"""Measures what a network costs: parameters, GMACs, time and memory.

    python tools/profile_model.py configs/rcan_vggface2.py
    python tools/profile_model.py configs/distill_vggface2.py \
        work_dirs/distill_vggface2/iter_300000.pth --batch-sizes 1 8 --out profile.json
    python tools/profile_model.py CHECKPOINT

CONFIG is any training config. No weights, dictionary or data are needed: what a
network costs does not depend on them, so without a checkpoint it is built untrained.
A teacher's parts are shown apart: landmark detection, encoder, dictionary, decoder.
"""

import argparse
import tempfile
from typing import Any, List, Tuple

from _arguments import parse_options, report_errors

_CONFIGS = ('.py', '.json', '.yaml', '.yml')


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG',
                        help='path of the config, or of a self-describing checkpoint')
    parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT',
                        help='take the networks from this file')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 8],
                        metavar='B', help='pictures in a call (default: 1 8)')
    parser.add_argument('--repeats', type=int, default=5, metavar='N',
                        help='timed calls (default: 5)')
    parser.add_argument('--warmup', type=int, default=1, metavar='N',
                        help='calls before those (default: 1)')
    parser.add_argument('--device', default='cpu', help='e.g. cuda (default: cpu)')
    parser.add_argument('--lr-size', type=int, metavar='PX',
                        help="side of LR; default: the data set's, the network's, or "
                        "the paper's 32")
    parser.add_argument('--num-atoms', type=int, default=512, metavar='K',
                        help="of a dictionary whose file isn't there (default: 512)")
    parser.add_argument('--no-landmarks', action='store_true',
                        help='leave the landmark detector out')
    parser.add_argument('--data-root', metavar='DIR',
                        help='root of the faces that the landmark detector is timed '
                        'on; faces drawn by the project stand in for absent ones')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='values of the config by dotted key, as Python literals')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers there')
    return parser.parse_args()


def read_subjects(arguments: argparse.Namespace,
                  folder: str) -> Tuple[Any, List[Any]]:
    """The config, if there is one, and the networks."""
    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    register_all()
    from fdsr.profiling.subjects import (
        subjects_of_checkpoint,
        subjects_of_config,
    )
    if not arguments.config.endswith(_CONFIGS):
        return None, subjects_of_checkpoint(arguments.config, arguments.lr_size)
    config = load_config(arguments.config, arguments.data_root, work_dir=folder,
                         cfg_options=parse_options(arguments.cfg_options))
    return config, subjects_of_config(
        config, arguments.checkpoint, arguments.lr_size, arguments.num_atoms)


@report_errors
def main() -> None:
    arguments = parse_arguments()
    # Only what a data set skips is written to the work directory.
    with tempfile.TemporaryDirectory() as folder:
        config, subjects = read_subjects(arguments, folder)

        from fdsr.profiling.subjects import profile_subjects
        from fdsr.profiling.table import format_profile, write_profiles
        profiles, notes = profile_subjects(
            subjects, config, arguments.batch_sizes, arguments.device,
            arguments.warmup, arguments.repeats,
            landmarks=not arguments.no_landmarks)
    print(format_profile(profiles, notes))
    if arguments.out:
        write_profiles(arguments.out, profiles, notes)


if __name__ == '__main__':
    main()
