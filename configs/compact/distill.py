"""Distils the dictionary teacher into the bundled ``compact``, CompactSR (1.34 M).

    python tools/freeze_features.py configs/compact/distill.py \
        --teacher work_dirs/compact/teacher/iter_1600.pth \
        --data-root data/faces_public --out work_dirs/compact/features
    python tools/train.py configs/compact/distill.py --data-root data/faces_public

The first command caches the teacher's features (3 GB). Train configs/compact/teacher.py
before it.
"""
_base_ = [
    '../_base_/datasets/faces_public_256_aligned.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]

iterations = 2000
model = dict(
    type='fdsr.FeatureDistiller',
    student=dict(type='fdsr.CompactSR', scale=8),
    teacher=dict(checkpoint='work_dirs/compact/teacher/iter_1600.pth'),
    frozen_features=['work_dirs/compact/features'],
    feature_losses=[
        dict(
            type='fdsr.FeatureL1Loss',
            teacher='decoder.to_rgb:input',
            student='to_rgb:input',
            # The networks differ: a learned 1×1 convolution maps the features.
            connector=True,
            # Falls to 0 over the run, as in KDFSRNet.
            loss_weight=[(0, 10.0), (iterations, 0.0)])
    ],
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    # Compares a quarter of each image.
    perceptual_loss=dict(
        type='fdsr.PerceptualLoss', encoder='vgg16', window=128, loss_weight=0.1),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
# The cache holds the features of each face and of its mirror image.
pipeline = [
    *_base_.pipeline[:-1],
    dict(
        type='mmagic.PackInputs', meta_keys=['name', 'mirrored'], data_keys=['boxes'])
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=pipeline))
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))))
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=25))
