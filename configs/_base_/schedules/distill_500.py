"""Adam at 1e-3 for the student, 1e-4 for the discriminator, 500 iterations."""
_base_ = 'linear_decay.py'

train_cfg = dict(max_iters=500, val_interval=250)
param_scheduler = dict(begin=250, end=500)
# The discriminator, at a tenth of the student's rate, still wins.
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))))
# With several GPUs, each trained network is wrapped on its own.
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
