r"""Tells how alike the features of networks are to those of a reference.

    python projects/distillation_study/compare_features.py \
        projects/distillation_study/configs/distill.py TEACHER STUDENT... \
        --data-root data/faces

CONFIG is any config with validation faces; the checkpoints describe themselves. Where
the features are the same but for their basis, a discriminator tells them apart at once
and L1 pulls at nothing: look at this before you choose a feature loss.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools._arguments import parse_options, report_errors, whole_number

_TAP = 'decoder.to_rgb:input'


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', help='path of the config')
    parser.add_argument('reference', metavar='REFERENCE', help='checkpoint, a teacher')
    parser.add_argument('checkpoints', metavar='CHECKPOINT', nargs='+',
                        help='of those that are compared with it')
    parser.add_argument('--taps', nargs=2, default=[_TAP, _TAP],
                        metavar=('REFERENCE', 'OTHERS'),
                        help=f'where they are tapped (default: {_TAP})')
    parser.add_argument('--faces', type=whole_number(2), default=64, metavar='N',
                        help='from the beginning of the validation list (64)')
    parser.add_argument('--data-root', metavar='DIR', help='root of the data')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='values of the config by dotted key, as Python literals')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    from fdsr.reporting.tables import markdown_table
    register_all()
    from projects.distillation_study.study.feature_similarity import compare_checkpoints
    # Only what a data set skips is written to the work directory.
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(arguments.config, arguments.data_root, work_dir=folder,
                             cfg_options=parse_options(arguments.cfg_options))
        found = compare_checkpoints(config, arguments.reference, arguments.checkpoints,
                                    arguments.taps, arguments.faces)
    print(markdown_table(
        ['Network', 'same channels', 'any basis', 'CKA'],
        [[Path(path).stem, *(f'{value:.2f}' for value in (
            alike.correlation, alike.explained, alike.cka))]
         for path, alike in zip(arguments.checkpoints, found)]))
    print(f'\n{arguments.faces} faces, {arguments.taps[0]}: correlation of channels of '
          'the same number; share of the variance that the best 1×1 convolution '
          'explains on other faces; linear CKA.')


if __name__ == '__main__':
    main()
