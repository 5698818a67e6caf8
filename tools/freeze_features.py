r"""Writes the features of frozen networks to disk, so that training reads them.

    python tools/freeze_features.py projects/distillation_study/configs/student.py \
        --data-root data/faces --out work_dirs/frozen/student
    python tools/freeze_features.py projects/distillation_study/configs/distill.py \
        --teacher TEACHER.pth --data-root data/faces --out work_dirs/frozen/teacher

The first command keeps the encoder's maps of LR and GT's perceptual features, the
second one a teacher's features at --taps, for each training face of CONFIG and for its
mirror image. A training config takes them with model.frozen_features=[FOLDER, ...];
its PackInputs needs meta_keys=['name', 'mirrored'].
"""

import argparse
import tempfile

from _arguments import parse_options, report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the training')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write')
    parser.add_argument('--data-root', metavar='DIR', help='root of the data')
    parser.add_argument('--teacher', metavar='CHECKPOINT',
                        help="keep this teacher's features instead")
    parser.add_argument('--taps', nargs='+', default=['decoder.to_rgb:input'],
                        metavar='TAP', help="of the teacher (decoder.to_rgb:input)")
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='values of the config by dotted key')
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.engine.config import load_config
    from fdsr.registry import register_all
    # only the list of skipped samples is written to the work directory
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(arguments.config, arguments.data_root, work_dir=folder,
                             cfg_options=parse_options(arguments.cfg_options))
        register_all()
        from fdsr.models.restorers.teacher import build_teacher
        from fdsr.preparation.feature_cache import (
            freeze_student_features,
            freeze_teacher_features,
        )
        if arguments.teacher is None:
            freeze_student_features(config, arguments.out)
        else:
            teacher, _ = build_teacher(arguments.teacher)
            freeze_teacher_features(teacher, arguments.taps, config, arguments.out)
    print(arguments.out)


if __name__ == '__main__':
    main()
