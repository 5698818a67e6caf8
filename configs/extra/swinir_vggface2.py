"""Trains mmagic's SwinIR (classical SR, Liang et al. 2021), a baseline, ×8.

    python tools/train.py configs/extra/swinir_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '../_base_/datasets/vggface2.py', '../_base_/schedules/sr_300k.py',
    '../_base_/runtime.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='mmagic.SwinIRNet',
        upscale=8,
        in_chans=3,
        img_size=32,
        window_size=8,
        img_range=1.0,
        depths=[6, 6, 6, 6, 6, 6],
        embed_dim=180,
        num_heads=[6, 6, 6, 6, 6, 6],
        mlp_ratio=2,
        upsampler='pixelshuffle',
        resi_connection='1conv'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'swinir']))
train_dataloader = dict(batch_size=16)
