"""Distils the teacher into the student by adversarial features, as in the paper.

    python tools/train.py configs/distill_vggface2_paper.py --data-root data/vggface2

Train configs/teacher_vggface2.py first: its checkpoint is the teacher.
"""
_base_ = [
    '_base_/models/distiller.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/distill_300k.py', '_base_/runtime.py'
]

model = dict(
    teacher=dict(
        checkpoint='work_dirs/teacher_vggface2/iter_300000.pth',
        expect=dict(type='fdsr.DictionaryTeacher', size=256, **_base_.network)),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            # Trains the discriminator alone for the first iterations.
            loss_weight=[(0, 0.0), (5000, 1.0)])
    ])
