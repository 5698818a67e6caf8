"""Five hundred iterations of batch 8 at a constant rate, for one CPU."""
_base_ = 'adam_300k.py'
train_cfg = dict(max_iters=500, val_interval=250)
param_scheduler = None
