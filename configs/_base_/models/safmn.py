"""SAFMN (Sun et al., ICCV 2023) with an L1 loss."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.SAFMN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'safmn']))
