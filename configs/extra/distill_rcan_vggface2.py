"""Distils the dictionary teacher into RCAN: no dictionary, no landmarks, no VGG.

    python tools/train.py configs/extra/distill_rcan_vggface2.py \
        --data-root data/vggface2

Train configs/teacher_vggface2.py first: its checkpoint is the teacher.
"""
_base_ = '../distill_vggface2_paper.py'

model = dict(
    # RCAN shares no argument but the scale with the paper's student.
    student=dict(_delete_=True, type='fdsr.RCAN', scale=8),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='to_rgb:input',
            # The networks differ: a learned 1×1 convolution maps the features.
            connector=True,
            loss_weight=[(0, 0.0), (5000, 1.0)])
    ])
# RCAN occasionally diverges without clipping.
optim_wrapper = dict(
    student=dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=1.0)))
