"""The demo's teacher: drawn faces, VGG-16, 32 atoms a part and level.

    python tools/build_dictionary.py configs/demo/teacher.py --num-atoms 32 \
        --out work_dirs/demo/dictionary.pth
    python tools/train.py configs/demo/teacher.py
"""
_base_ = ['../_base_/datasets/synthetic_faces.py', '../_base_/runtime.py']

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        size=64,
        eye_share=0.3125,
        scale=8,
        layout='B',
        encoder=dict(arch='vgg16', pretrained='imagenet'),
        width=0.25,
        dictionary=dict(file='work_dirs/demo/dictionary.pth')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    # of each batch, two faces are compared: a quarter of the cost
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', faces=2),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='teacher', bicubic=True))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=90)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(
        type='Adam', lr=1e-3, betas=(0.5, 0.999), fused=True))
# without the decay, the last steps cost a few tenths of a dB
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False, begin=45,
    end=90)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
# The test at the end is enough.
val_cfg = val_dataloader = val_evaluator = None
