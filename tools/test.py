r"""Tests a checkpoint and prints its metrics with their protocol.

    python tools/test.py configs/distill_vggface2.py CHECKPOINT \
        --data-root data/vggface2

CHECKPOINT is any self-describing file: of tools/train.py, converted or published. It
may be left out for a backbone without weights.
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
        '--out', metavar='FILE.json', help='where the metrics go, with each '
        "image's values in FILE.csv; default: metrics.json in the work directory")
    parser.add_argument(
        '--save-images', metavar='DIR', help='keep the pictures, DIR/MODEL/NAME.png')
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
