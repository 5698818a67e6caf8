"""Trains S w/o KD, the student without distillation: the control of all arms."""
_base_ = ['../../../configs/_base_/models/student_quarter.py', 'base.py']

model = dict(
    perceptual_loss=dict(faces=2),
    test_cfg=dict(report=['student']))
optim_wrapper = dict(
    type='fdsr.AutocastOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
