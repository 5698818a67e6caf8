"""RCAN (Zhang et al., ECCV 2018), ×8, with its L1 loss.

    python tools/train.py configs/rcan_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/datasets/vggface2.py', '_base_/runtime.py', '_base_/schedules/sr_300k.py'
]

train_dataloader = dict(batch_size=16)
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.RCAN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='rcan', bicubic=True))
