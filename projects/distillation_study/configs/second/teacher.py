"""Trains the dictionary teacher on the robust mix, with the students' losses."""
_base_ = ['../../../../configs/_base_/models/teacher_quarter.py', 'robust.py']

model = dict(
    generator=dict(
        size=128,
        eye_share=0.3125,
        dictionary=dict(file='work_dirs/study2/dictionary.pth')),
    perceptual_loss=dict(_delete_=True, **_base_.losses['perceptual_loss']),
    extra_losses=_base_.losses['extra_losses'],
    test_cfg=dict(report=['teacher']))
optim_wrapper = dict(
    type=_base_.autocast,
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99), fused=True))

iterations = 8000
train_cfg = dict(max_iters=iterations)
param_scheduler = dict(begin=iterations // 2, end=iterations)
