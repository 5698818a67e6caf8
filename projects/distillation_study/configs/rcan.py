"""Trains reduced RCAN for as long as a distilled arm takes: 3,000 iterations."""
_base_ = ['../../../configs/_base_/models/rcan.py', 'base.py']

model = dict(generator=dict(groups=3, blocks=6), test_cfg=dict(report=['rcan']))
train_cfg = dict(max_iters=3000, val_interval=750)
param_scheduler = dict(begin=1500, end=3000)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0))
