"""Trains reduced SRFBN for as long as a distilled arm takes: 2,400 iterations."""
_base_ = ['../../../configs/_base_/models/srfbn.py', 'base.py']

model = dict(
    generator=dict(channels=32, steps=2, groups=3), test_cfg=dict(report=['srfbn']))
train_cfg = dict(max_iters=2400, val_interval=600)
param_scheduler = dict(begin=1200, end=2400)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0))
