"""Trains S w/o KD, the student without distillation, on synthetic faces: 8 to 64 px.

    python tools/train.py configs/demo/student.py
"""
_base_ = [
    '../_base_/models/student_quarter.py', '../_base_/datasets/synthetic_faces.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]

# Compares two faces of each batch: a quarter of the cost.
model = dict(perceptual_loss=dict(faces=2))
train_cfg = dict(max_iters=90, val_interval=30)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999), fused=True))
param_scheduler = dict(begin=45, end=90)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
