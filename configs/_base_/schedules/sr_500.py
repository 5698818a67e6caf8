"""The baselines in five hundred iterations of batch 8, for one CPU."""
_base_ = 'sr_300k.py'
train_cfg = dict(max_iters=500, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(
    _delete_=True, type='LinearLR', start_factor=1.0, end_factor=0.05,
    by_epoch=False, begin=250, end=500)
