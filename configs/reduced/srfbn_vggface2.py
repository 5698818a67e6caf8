"""SRFBN for one CPU: half the channels, two steps.

    python tools/train.py configs/reduced/srfbn_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/runtime.py',
    '../_base_/schedules/sr_500.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.SRFBN', scale=8, channels=32, steps=2, groups=3),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='srfbn', bicubic=True))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
