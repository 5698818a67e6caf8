"""S w/o KD on drawn faces: the control of the distillation.

    python tools/train.py configs/demo/student.py
"""
_base_ = ['../_base_/datasets/synthetic_faces.py', '../_base_/runtime.py']

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg16', pretrained='imagenet'),
        width=0.25),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    # of each batch, two faces are compared: a quarter of the cost
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', faces=2),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='student_without_kd', bicubic=True))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=90, val_interval=30)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(
        type='Adam', lr=1e-3, betas=(0.5, 0.999), fused=True))
# without the decay, the last steps cost a few tenths of a dB
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False, begin=45,
    end=90)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
