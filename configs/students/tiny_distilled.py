"""Distils *small* into *tiny*: *tiny* learns the images of *small*, without LPIPS.

    python tools/train.py configs/students/tiny_distilled.py
"""
_base_ = [
    '../_base_/datasets/faces_students_robust.py', '../_base_/schedules/students.py',
    '../_base_/runtime_students.py'
]

iterations, decay = 4000, 2000
model = dict(
    type='fdsr.FeatureDistiller',
    student=dict(
        type='fdsr.RepSR', scale=8, channels=40, blocks=4, stage_channels=(24, 8),
        stage_blocks=(1, 1), context_channels=56, context_blocks=1),
    teacher='fdsr/weights/shipped/small-789fa7fa.safetensors',
    feature_losses=[
        dict(type='fdsr.FeatureL1Loss', teacher=':output', connector=False,
             loss_weight=100.0)
    ],
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=10.0),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
train_cfg = dict(max_iters=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations - decay, end=iterations)
]
optim_wrapper = dict(
    _delete_=True, constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))))
custom_hooks = [dict(type='fdsr.TrainedEMAHook', name='student', momentum=0.002)]
