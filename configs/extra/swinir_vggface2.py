"""mmagic's SwinIR (classical SR, Liang et al. 2021) as a baseline, ×8.

    python tools/train.py configs/extra/swinir_vggface2.py --data-root data/vggface2
"""
_base_ = '../rcan_vggface2.py'

model = dict(
    generator=dict(
        _delete_=True,
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
    test_cfg=dict(name='swinir'))
