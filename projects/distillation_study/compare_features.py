r"""Compares the features of networks with those of a reference.

    python projects/distillation_study/compare_features.py \
        projects/distillation_study/configs/distill.py TEACHER STUDENT... \
        --data-root data/faces

CONFIG is any config with validation faces; the checkpoints are self-describing. If the
features agree except for their basis, a discriminator separates them at once and an L1
loss has no useful gradient. Run this before you choose a feature loss.
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

_TAP = 'decoder.to_rgb:input'


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', help='path of the config')
    parser.add_argument('reference', metavar='REFERENCE',
                        help='checkpoint, such as a teacher')
    parser.add_argument('checkpoints', metavar='CHECKPOINT', nargs='+',
                        help='checkpoints to compare with it')
    parser.add_argument('--taps', nargs=2, default=[_TAP, _TAP],
                        metavar=('REFERENCE', 'OTHERS'),
                        help=f'taps of their features (default: {_TAP})')
    parser.add_argument('--faces', type=whole_number(2), default=64, metavar='N',
                        help='number of validation faces (default: 64)')
    add_override_arguments(parser)
    return parser.parse_args()


@report_errors
def main() -> None:
    """Compares the checkpoints and prints a table."""
    arguments = parse_arguments()
    from fdsr.engine.config import temporary_config
    from fdsr.registry import register_all
    from fdsr.reporting.tables import markdown_table
    register_all()
    from projects.distillation_study.study.feature_similarity import compare_checkpoints
    with temporary_config(arguments.config, **override_options(arguments)) as config:
        found = compare_checkpoints(config, arguments.reference, arguments.checkpoints,
                                    arguments.taps, arguments.faces)
    print(markdown_table(
        ['Network', 'same channels', 'any basis', 'CKA'],
        [[Path(path).stem, *(f'{value:.2f}' for value in (
            one.correlation, one.explained, one.cka))]
         for path, one in zip(arguments.checkpoints, found)]))
    print(f'\n{arguments.faces} faces, {arguments.taps[0]}: correlation of channels '
          'with the same index; share of the variance that the best 1×1 convolution '
          'explains on held-out faces; linear CKA.')


if __name__ == '__main__':
    main()
