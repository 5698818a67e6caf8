"""Distils the teacher as the paper does, on a CPU: 16 to 128 px.

    python tools/train.py configs/reduced/distill_vggface2_paper.py \
        --data-root data/faces

Train configs/reduced/teacher_vggface2.py first: its checkpoint is the teacher.
"""
_base_ = [
    '../_base_/models/distiller_quarter.py',
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/schedules/distill_500.py',
    '../_base_/runtime.py'
]

model = dict(
    teacher=dict(
        checkpoint='work_dirs/reduced/teacher_vggface2/iter_500.pth',
        expect=dict(
            type='fdsr.DictionaryTeacher', size=128, eye_share=0.3125,
            **_base_.network)),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            # Trains the discriminator alone for the first iterations.
            loss_weight=[(0, 0.0), (100, 0.1)])
    ])
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
