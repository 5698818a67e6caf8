"""SPAN (Wan et al., CVPRW 2024) with an L1 loss."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.SPAN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'span']))
