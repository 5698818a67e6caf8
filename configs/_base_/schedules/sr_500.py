"""The baselines' optimizer at 1e-3, 500 iterations, for a CPU."""
_base_ = 'linear_decay.py'

train_cfg = dict(max_iters=500, val_interval=250)
param_scheduler = dict(begin=250, end=500)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)),
    # RCAN occasionally diverges without clipping.
    clip_grad=dict(max_norm=1.0))
