"""S w/o KD for one CPU: the control of the distillation.

    python tools/train.py configs/reduced/student_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/schedules/adam_500.py',
    '../_base_/runtime.py'
]

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
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
