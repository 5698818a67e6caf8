"""SRFBN, reduced, for as long as an arm takes: 2,400 iterations."""
_base_ = 'base.py'

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.SRFBN', scale=8, channels=32, steps=2, groups=3),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='srfbn'))
train_cfg = dict(max_iters=2400, val_interval=600)
param_scheduler = dict(begin=1200, end=2400)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0))
