"""20,000 iterations of 8 faces; the learning rate decays over the last quarter."""
iterations, decay = 20000, 5000
train_cfg = dict(
    type='fdsr.ExactTrainLoop', max_iters=iterations, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations - decay, end=iterations)
]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99)))
