"""The teacher of the small student that comes along: 32 to 256 px, one CPU.

    python tools/build_dictionary.py configs/compact/teacher.py \
        --data-root data/faces_public --num-atoms 64 \
        --out work_dirs/compact/dictionary.pth
    python tools/train.py configs/compact/teacher.py --data-root data/faces_public

The decoder has a quarter of DFDNet's width, and the perceptual loss looks at a quarter
of each picture: a step of four faces takes seconds instead of a minute.
"""
_base_ = [
    '../_base_/datasets/faces_public_256_aligned.py',
    '../_base_/schedules/adam_500.py', '../_base_/runtime.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        size=256,
        eye_share=0.243,
        scale=8,
        layout='B',
        encoder=dict(arch='vgg16', pretrained='imagenet'),
        width=0.25,
        dictionary=dict(file='work_dirs/compact/dictionary.pth')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', window=128),
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='teacher', bicubic=True))
train_dataloader = dict(batch_size=4)
iterations = 1600
train_cfg = dict(max_iters=iterations, val_interval=400)
optim_wrapper = dict(type='fdsr.AutocastOptimWrapper')
param_scheduler = dict(begin=iterations // 2, end=iterations)
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=25))
