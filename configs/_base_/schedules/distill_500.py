"""The distillation in five hundred iterations for one CPU, at rates that decay."""
_base_ = 'distill_300k.py'
train_cfg = dict(max_iters=500, val_interval=250)
# the discriminator keeps 1e-4, a tenth of the student's, and wins even so
optim_wrapper = dict(student=dict(optimizer=dict(lr=1e-3)))
# a calm end: the last steps of a constant rate cost a few tenths of a dB
param_scheduler = dict(
    _delete_=True, type='LinearLR', start_factor=1.0, end_factor=0.05,
    by_epoch=False, begin=250, end=500)
