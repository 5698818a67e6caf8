"""Trains the study's teacher, with its dictionary."""
_base_ = ['../../../configs/_base_/models/teacher_quarter.py', 'base.py']

model = dict(
    generator=dict(
        size=128,
        eye_share=0.3125,
        dictionary=dict(file='work_dirs/study/dictionary.pth')),
    perceptual_loss=dict(faces=2),
    test_cfg=dict(report=['teacher']))
optim_wrapper = dict(
    type='fdsr.AutocastOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
