"""Two Adams, the discriminator's slower; 500 iterations of batch 8, for one CPU."""
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=500, val_interval=250)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))))
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
