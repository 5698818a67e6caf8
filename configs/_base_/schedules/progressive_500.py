"""Adam at 1e-3 for the network and its discriminator, 500 iterations, for a CPU."""
_base_ = 'linear_decay.py'

train_cfg = dict(max_iters=500, val_begin=250, val_interval=250)
param_scheduler = dict(begin=250, end=500)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    generator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.99))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.99))))
# Wraps each trained network on its own; the convolutions to RGB of other steps are not
# used.
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', find_unused_parameters=True)
