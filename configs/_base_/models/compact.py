"""CompactSR without distillation: residual blocks at LR's size, pixel shuffles."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.CompactSR', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'),
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='student', bicubic=True))
