r"""Tests a checkpoint and prints its metrics with the protocol.

    python tools/test.py configs/distill_vggface2.py CHECKPOINT \
        --data-root data/vggface2

CHECKPOINT is a self-describing file: trained with tools/train.py, converted or
published. It is optional for backbones without weights.
"""

import argparse

from _arguments import add_common_arguments, common_options, report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', nargs='?', help='path of the checkpoint')
    add_common_arguments(parser)
    parser.add_argument(
        '--out', metavar='FILE.json', help='file for the metrics; the values of each '
        'image go to FILE.csv (default: metrics.json in the work directory)')
    parser.add_argument(
        '--save-images', metavar='DIR', help='save the SR images as DIR/MODEL/NAME.png')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from mmengine.dist import is_main_process

    from fdsr.engine.config import load_config
    from fdsr.engine.launch import end_processes
    from fdsr.registry import register_all
    config = load_config(arguments.config, **common_options(arguments))
    register_all()
    from fdsr.evaluation.testing import run_test
    table = run_test(config, arguments.checkpoint, arguments.out,
                     arguments.save_images, arguments.launcher)
    if is_main_process():
        print(f'\n{table}')
    end_processes()


if __name__ == '__main__':
    main()
