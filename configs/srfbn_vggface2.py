"""SRFBN (Li et al., CVPR 2019), ×8: L1 summed over its four steps.

    python tools/train.py configs/srfbn_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/datasets/vggface2.py', '_base_/runtime.py', '_base_/schedules/sr_300k.py'
]

train_dataloader = dict(batch_size=16)
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.SRFBN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='srfbn', bicubic=True))
