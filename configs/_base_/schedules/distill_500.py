"""The distillation's schedule in 500 iterations at a constant rate, for one CPU."""
_base_ = 'distill_300k.py'
train_cfg = dict(max_iters=500, val_interval=250)
param_scheduler = None
