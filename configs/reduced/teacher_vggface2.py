"""The teacher for one CPU: 16 to 128 px, VGG-16, 64 atoms a part and level.

    python tools/build_dictionary.py configs/reduced/teacher_vggface2.py \
        --data-root data/faces --num-atoms 64 --out work_dirs/dictionary_reduced.pth
    python tools/train.py configs/reduced/teacher_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/schedules/adam_500.py',
    '../_base_/runtime.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        size=128,
        eye_share=0.3125,
        scale=8,
        layout='B',
        encoder=dict(arch='vgg16', pretrained='imagenet'),
        width=0.25,
        dictionary=dict(file='work_dirs/dictionary_reduced.pth')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='teacher', bicubic=True))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
