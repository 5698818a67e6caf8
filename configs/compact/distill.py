"""The small student that comes along: the dictionary teacher in 1.34 M parameters.

    python tools/freeze_features.py configs/compact/distill.py \
        --teacher work_dirs/compact/teacher/iter_1600.pth \
        --data-root data/faces_public --out work_dirs/compact/features
    python tools/train.py configs/compact/distill.py --data-root data/faces_public

The teacher's last features are computed once for all faces (3 GB). The student has no
encoder in common with the teacher, so its features pass a learned 1×1 convolution, and
L1 draws them to the teacher's, ever less so over the run (KDFSRNet).
"""
_base_ = 'teacher.py'

iterations = 2000
model = dict(
    _delete_=True,
    type='fdsr.DictionaryDistiller',
    student=dict(type='fdsr.CompactSR', scale=8),
    teacher=dict(checkpoint='work_dirs/compact/teacher/iter_1600.pth'),
    frozen_features=['work_dirs/compact/features'],
    feature_losses=[
        dict(
            type='fdsr.FeatureL1Loss',
            teacher='decoder.to_rgb:input',
            student='to_rgb:input',
            connector=True,
            loss_weight=[(0, 10.0), (iterations, 0.0)])
    ],
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', window=128),
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=8),
    dict(type='mmagic.PackInputs', meta_keys=['name', 'mirrored'], data_keys=['boxes'])
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=pipeline))
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(
    _delete_=True,
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))))
