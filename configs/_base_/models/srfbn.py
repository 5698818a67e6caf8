"""SRFBN (Li et al., CVPR 2019) with its L1 loss, summed over the steps."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.SRFBN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    test_cfg=dict(report=['bicubic', 'srfbn']))
