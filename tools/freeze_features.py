r"""Caches the features of frozen networks on disk for training.

    python tools/freeze_features.py projects/distillation_study/configs/student.py \
        --data-root data/faces --out work_dirs/frozen/student
    python tools/freeze_features.py projects/distillation_study/configs/distill.py \
        --teacher TEACHER.pth --data-root data/faces --out work_dirs/frozen/teacher

The first command caches the encoder's feature maps of LR and the perceptual features of
GT, the second one the features of a teacher at --taps, for each training face of CONFIG
and its mirror image. Training reads them with model.frozen_features=[FOLDER, ...]; its
PackInputs needs meta_keys=['name', 'mirrored'].
"""

import argparse

from _arguments import add_override_arguments, override_options, report_errors


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the training')
    parser.add_argument('--out', required=True, metavar='DIR', help='output folder')
    parser.add_argument('--teacher', metavar='CHECKPOINT',
                        help='cache the features of this teacher instead')
    parser.add_argument('--taps', nargs='+', default=['decoder.to_rgb:input'],
                        metavar='TAP',
                        help='taps of the teacher (default: decoder.to_rgb:input)')
    add_override_arguments(parser)
    return parser.parse_args()


@report_errors
def main() -> None:
    arguments = parse_arguments()
    from fdsr.engine.config import temporary_config
    from fdsr.registry import register_all
    # only the list of skipped samples is written to the work directory
    with temporary_config(arguments.config, **override_options(arguments)) as config:
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
