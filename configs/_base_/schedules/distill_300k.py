"""Adam at 2e-4 for the student, 1e-4 for the discriminator, 300,000 iterations."""
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=300000, val_interval=5000)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[150000, 225000], gamma=0.5)
# With several GPUs, each trained network is wrapped on its own.
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
