"""Five hundred iterations of batch 8 for one CPU, at a higher rate that decays."""
_base_ = 'adam_300k.py'
train_cfg = dict(max_iters=500, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
# a calm end: the last steps of a constant rate cost a few tenths of a dB
param_scheduler = dict(
    _delete_=True, type='LinearLR', start_factor=1.0, end_factor=0.05,
    by_epoch=False, begin=250, end=500)
