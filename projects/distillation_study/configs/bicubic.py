"""Bicubic up-sampling, which nothing is trained for."""
_base_ = 'base.py'

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.Bicubic', scale=8),
    test_cfg=dict(name='bicubic'))
