"""Trains the student, without distillation, on blurred, noisy and compressed faces.

    python tools/train.py configs/extra/student_blind_vggface2.py \
        --data-root data/vggface2

The degradation is GFPGAN's. For another one, append:

    --cfg-options train_dataloader.dataset.pipeline.2.steps=dfdnet \
        val_dataloader.dataset.pipeline.1.steps=dfdnet \
        test_dataloader.dataset.pipeline.1.steps=dfdnet
"""
_base_ = [
    '../_base_/models/student.py', '../_base_/datasets/vggface2_blind.py',
    '../_base_/schedules/adam_300k.py', '../_base_/runtime.py'
]

model = dict(test_cfg=dict(report=['bicubic', 'student_blind']))
