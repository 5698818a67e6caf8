"""SRFBN (Li et al., CVPR 2019) with its L1 loss, summed over the steps."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.SRFBN', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='l1'),
    loss_weights=dict(pixel=1.0),
    test_cfg=dict(name='srfbn', bicubic=True))
