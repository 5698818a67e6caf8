"""Adam for the network and its discriminator, 100,000 iterations for each step."""
train_cfg = dict(
    type='fdsr.ExactTrainLoop', max_iters=300000, val_begin=205000, val_interval=5000)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    generator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.99))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.99))))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[250000, 275000], gamma=0.5)
# Wraps each trained network on its own; the convolutions to RGB of other steps are not
# used.
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', find_unused_parameters=True)
