"""Trains mmagic's DIC (Ma et al., CVPR 2020), a baseline, ×8 to 128 px, its only size.

    python tools/train.py configs/extra/dic_vggface2_128.py --data-root data/vggface2

Only the pixel loss of its steps trains it. Its landmark branch is not supervised, so
results are not comparable with those of the DIC paper.
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/schedules/sr_300k.py',
    '../_base_/runtime.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.UnrolledGenerator',
        network=dict(
            type='mmagic.DICNet', in_channels=3, out_channels=3, mid_channels=48,
            num_blocks=6, hg_mid_channels=256, hg_num_keypoints=68, num_steps=4,
            upscale_factor=8)),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'dic']))
