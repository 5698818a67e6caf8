"""RCAN for one CPU: three groups of six blocks.

    python tools/train.py configs/reduced/rcan_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/runtime.py',
    '../_base_/schedules/sr_500.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.RCAN', scale=8, groups=3, blocks=6),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='rcan', bicubic=True))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
