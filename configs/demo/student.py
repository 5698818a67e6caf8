"""S w/o KD on drawn faces: the control of the distillation.

    python tools/train.py configs/demo/student.py
"""
_base_ = ['../_base_/datasets/drawn_faces.py', '../_base_/runtime.py']

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg16', pretrained='imagenet'),
        width=0.25),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='student_without_kd', bicubic=True))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=200, val_interval=50)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
# a calm end: the last steps of a constant rate cost a few tenths of a dB
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False, begin=100,
    end=200)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=50, max_keep_ckpts=1))
