"""Trains a model.

    python tools/train.py configs/distill_vggface2.py --data-root data/vggface2
"""

import argparse
import os

from _arguments import add_common_arguments, common_options, report_errors


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT',
        help='resume exactly, from CHECKPOINT or from the newest complete one in '
        'the work directory')
    arguments = parser.parse_args()
    if int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0)):  # torchrun --max-restarts
        if arguments.resume not in (None, 'auto'):
            parser.error(
                '--max-restarts resumes from the newest complete checkpoint in the '
                f'work directory: omit {arguments.resume}, or copy it there.')
        arguments.resume = 'auto'
    return arguments


@report_errors
def main() -> None:
    """Trains until the last iteration."""
    arguments = parse_arguments()
    from fdsr.engine.config import load_config
    from fdsr.engine.launch import build_runner, end_processes
    from fdsr.registry import register_all
    config = load_config(arguments.config, **common_options(arguments))
    register_all()
    if arguments.resume == 'auto':
        config.resume = 'auto'
    elif arguments.resume:
        config.resume, config.load_from = True, arguments.resume
    build_runner(config, arguments.launcher).train()
    end_processes()


if __name__ == '__main__':
    main()
