"""Trains arms on faces that were downsampled by PIL's bicubic, and nothing else."""
_base_ = 'main.py'

pipeline = [*_base_.augment, dict(type='fdsr.DownsampleToLR', scale=8), _base_.pack]
test_pipeline = pipeline[2:]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
