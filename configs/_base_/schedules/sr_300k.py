"""The baselines' optimizer: Adam at 1e-4, gradients clipped, 300,000 iterations."""
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=300000, val_interval=5000)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)),
    # RCAN occasionally diverges without clipping.
    clip_grad=dict(max_norm=1.0))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[200000], gamma=0.5)
