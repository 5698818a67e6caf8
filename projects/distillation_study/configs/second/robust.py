"""The faces, degraded as those of configs/_base_/datasets/faces_students_robust.py.

That file is for LR of 32 px. All lengths are the same in pixels of LR here.
"""
_base_ = 'base.py'

lr_side = _base_.size // _base_.scale
kernels = ['bicubic', 'bilinear', 'box', 'lanczos', 'area']
jpeg = dict(type='fdsr.CompressJPEG', quality=(30, 95), shift=True)
noise = dict(type='fdsr.AddNoise', sigma=(0.0, 15.0))
blur = dict(
    type='fdsr.BlurFace', kinds=dict(iso=0.6, aniso=0.3, motion=0.1), sigma=(1.0, 9.0),
    size=37, length=(4.0, 16.0), reference=_base_.size, prob=0.35)
to_lr_side = dict(type='fdsr.ResizeFace', side=lr_side, kernels=kernels)
photograph = dict(
    type='fdsr.OneOf',
    choices=[[to_lr_side],
             [dict(type='fdsr.ShrinkFace', r=(1.3, 7.0)), dict(noise, prob=0.2), jpeg,
              to_lr_side]],
    weights=[0.6, 0.4])
steps = [
    dict(type='fdsr.OneOf',
         choices=[[], [blur, photograph, dict(noise, prob=0.45), dict(jpeg, prob=0.6)]],
         weights=[0.25, 0.75])
]
degradation = dict(type='fdsr.BlindDegradation', steps=steps, scale=_base_.scale)
pipeline = [*_base_.augment, degradation, _base_.pack]
test_pipeline = [
    dict(type='fdsr.ComponentBoxes'), dict(seed=0, **degradation), _base_.pack
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
