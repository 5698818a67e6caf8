"""Trains arms on faces that were downsampled by PIL's bicubic, and nothing else."""
_base_ = 'main.py'

to_lr = dict(type='fdsr.DownsampleToLR', scale=8)
pipeline = [*_base_.augment, to_lr, _base_.pack]
test_pipeline = [dict(type='fdsr.ComponentBoxes'), to_lr, dict(
    type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
