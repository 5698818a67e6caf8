"""Trains the network of ``compact`` without distillation: the control.

    python tools/train.py configs/compact/student.py --data-root data/faces_public
"""
_base_ = [
    '../_base_/models/compact.py', '../_base_/datasets/faces_public_256_aligned.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]

iterations = 2000
# Compares a quarter of each image.
model = dict(perceptual_loss=dict(window=128))
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(
    type='fdsr.AutocastOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99)))
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=25))
