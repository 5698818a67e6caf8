"""Five hundred iterations of batch 8, for one CPU."""
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=500, val_interval=250)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
