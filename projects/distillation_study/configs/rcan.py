"""RCAN, reduced, for as long as an arm takes: 3,000 iterations."""
_base_ = 'base.py'

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.RCAN', scale=8, groups=3, blocks=6),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='rcan'))
train_cfg = dict(max_iters=3000, val_interval=750)
param_scheduler = dict(begin=1500, end=3000)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0))
