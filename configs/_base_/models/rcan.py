"""RCAN (Zhang et al., ECCV 2018) with its L1 loss."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.RCAN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'rcan']))
