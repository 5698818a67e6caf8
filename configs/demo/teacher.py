"""The demo's teacher: drawn faces, VGG-16, 32 atoms a part and level.

    python tools/build_dictionary.py configs/demo/teacher.py --num-atoms 32 \
        --out work_dirs/demo/dictionary.pth
    python tools/train.py configs/demo/teacher.py
"""
_base_ = ['../_base_/datasets/drawn_faces.py', '../_base_/runtime.py']

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
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='teacher', bicubic=True))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=200)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
# a calm end: the last steps of a constant rate cost a few tenths of a dB
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False, begin=100,
    end=200)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=50, max_keep_ckpts=1))
# The test at the end is enough.
val_cfg = val_dataloader = val_evaluator = None
