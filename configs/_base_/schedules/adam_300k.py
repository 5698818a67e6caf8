"""DFDNet's optimizer: Adam at 2e-4, 300,000 iterations."""
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=300000, val_interval=5000)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[150000, 225000], gamma=0.5)
